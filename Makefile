# Everything runs in .venv/; set-up is repeated only when a file in requirements/ changes.

VENV := .venv
PYTHON := $(VENV)/bin/python
# Without byte code the set-up is a fifth smaller; Python makes what it needs at first use.
PIP := $(PYTHON) -m pip --disable-pip-version-check install --quiet --no-compile
TORCH := torch==2.13.0
TORCH_INDEX := https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-kafka setup-generative demo up test lint format types arch bench check

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26

setup: $(VENV)/base.stamp ## install what the server needs
setup-dev: $(VENV)/dev.stamp ## install what tests and checks need as well
setup-kafka: $(VENV)/kafka.stamp ## install the client of Kafka as well
setup-generative: $(VENV)/generative.stamp ## install the trainers of text and image models as well

demo: setup ## watch corrections become a better model (ARGS="--seed 7" passes options)
	$(PYTHON) manage.py demo $(ARGS)

up: setup ## run Emend here until Ctrl-C (ARGS="--port 8001" passes options)
	$(PYTHON) manage.py up $(ARGS)

test: setup-dev ## run the tests (ARGS="-k gates", or -n 2 --dist loadfile -m "not alone")
	$(PYTHON) -m pytest $(ARGS)

lint: setup-dev ## judge style and spelling
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/typos

format: setup-dev ## format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

types: setup-dev ## judge types
	$(VENV)/bin/mypy .

arch: setup-dev ## judge who imports whom
	$(VENV)/bin/lint-imports

bench: setup-dev ## measure what the README quotes (what needs data of yours is run by hand)
	@set -e; for file in $$(grep -L "required=True" benchmarks/[a-z]*.py); do \
	  echo "$$file"; $(PYTHON) -m "benchmarks.$$(basename $$file .py)"; done

check: lint types arch ## all that CI runs
	EMEND_URL=https://emend.example.com $(PYTHON) manage.py check --deploy --fail-level WARNING
	$(PYTHON) manage.py makemigrations --check --dry-run
	$(MAKE) test

$(PYTHON):
	@python=$$(for name in python3.12 python3.11 python3.13 python3; do \
	  $$name -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	    2>/dev/null && echo $$name && break; done); \
	if [ -z "$$python" ]; then \
	  echo "Emend needs Python 3.11, 3.12 or 3.13 with its venv module." >&2; exit 1; fi; \
	$$python -m venv $(VENV)

# The CPU build of torch first, where the operator keeps one or from its own index: the default
# build for Linux brings gigabytes for graphics cards.
$(VENV)/torch.stamp: | $(PYTHON)
	@echo "Installing Emend into $(VENV)/ (once, about 1.3 GB, a few minutes) ..."
	$(PIP) --no-index --no-deps $(TORCH) 2>/dev/null \
	  || $(PIP) --no-deps --retries 1 --timeout 15 --index-url $(TORCH_INDEX) $(TORCH) \
	  || $(PIP) $(TORCH)
	@touch $@

$(VENV)/base.stamp: requirements/base.txt | $(VENV)/torch.stamp
	$(PIP) -r requirements/base.txt
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt requirements/base.txt requirements/kafka.txt | $(VENV)/torch.stamp
	$(PIP) -r requirements/dev.txt
	@touch $@ $(VENV)/base.stamp

$(VENV)/kafka.stamp: requirements/kafka.txt | $(VENV)/base.stamp
	$(PIP) -r requirements/kafka.txt
	@touch $@

$(VENV)/generative.stamp: requirements/generative.txt | $(VENV)/base.stamp
	$(PIP) -r requirements/generative.txt
	@touch $@
