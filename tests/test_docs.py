"""The documents say what the code says."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from config.celery import BEAT_SCHEDULE
from config.errors import EmendError
from feedback.task_settings import TaskSettings
from feedback.validation import FLAGS, REJECTIONS
from tests import roles

HOUSE = Path(__file__).parent.parent
APPS = ["config", "privacy", "feedback", "training"]
PAGES = sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")])
SOURCES = [path for app in APPS for path in sorted((HOUSE / app).rglob("*.py"))]
PIECES = ["later"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED_FUNCTION = re.compile(r"\[[^\]`]*`(\w+)`\]\(([^)\s]+)\)")
CODE = re.compile(r"`([a-z]+\.[a-z_]+)`")
FILE = re.compile(r"(?<![\w/.])(?:config|privacy|feedback|training|tests|benchmarks)/[\w/]+\.py")
TEST = re.compile(r"tests/[\w/]+\.py::\w+")


def name_of(path):
    return str(path.relative_to(HOUSE))


def page(name):
    return (HOUSE / name).read_text()


def prose(text):
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def table(text, first):
    """Return the rows of the table whose first heading is `first`, a list of cells each."""
    lines = text[re.search(rf"^\| {first} \|", text, re.MULTILINE).start() :].splitlines()
    end = next((n for n, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:end]]


def section(text, heading):
    """Return what stands between a heading of the second level and the next one."""
    return re.split(r"^## ", text.split(f"\n## {heading}\n", 1)[1], flags=re.MULTILINE)[0]


def documented_errors():
    for code, status, _ in table(page("docs/errors.md"), "code"):
        yield code.strip("`"), int(status.strip("()"))


def errors_below(cls):
    for child in cls.__subclasses__():
        yield child
        yield from errors_below(child)


@pytest.fixture(scope="module")
def errors():
    """Return every documented kind of refusal."""
    for app in APPS:
        importlib.import_module(f"{app}.errors")
    return [error for error in errors_below(EmendError) if error.__module__.split(".")[0] in APPS]


def names_of(path):
    """Return the functions and methods that a file defines."""
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def settings_read(path):
    """Return the names that a file reads from the environment."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if re.fullmatch(r"env\.\w+|os\.environ\.get|os\.getenv", ast.unparse(node.func)):
                yield node.args[0].value
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield node.slice.value


def test_it_works(errors):
    assert sorted((error.code, error.status) for error in errors) == sorted(documented_errors())


def test_errors_are_sorted_by_code():
    codes = [code for code, _ in documented_errors()]
    assert codes == sorted(codes)


def test_errors_live_in_errors_modules(errors):
    assert [e for e in errors if not e.__module__.endswith(".errors")] == []


def test_reasons_of_rejections_and_flags_are_those_of_validation():
    text = section(page("docs/errors.md"), "Codes of single places")
    rejections, flags = text.split("Reasons of a flag")
    rejections = rejections.split("Reasons of a rejection")[1]
    assert [code.strip("`") for code, _ in table(rejections, "code")] == list(REJECTIONS)
    assert [code.strip("`") for code, _ in table(flags, "code")] == list(FLAGS)


def test_codes_of_places_stand_in_the_code():
    text = section(page("docs/errors.md"), "Codes of single places")
    sources = "\n".join(path.read_text() for path in SOURCES)
    assert [code for code in CODE.findall(text) if f'"{code}"' not in sources] == []


def test_schedules_are_those_of_beat():
    documented = [
        (name, task, float(seconds), queue)
        for name, task, seconds, queue, _ in table(page("docs/operations.md"), "schedule")
    ]
    assert documented == [
        (name, entry["task"], entry["schedule"], entry["options"]["queue"])
        for name, entry in BEAT_SCHEDULE.items()
    ]


def test_log_events_are_those_of_the_code():
    documented = [event.strip("`") for event, _ in table(page("docs/operations.md"), "event")]
    sources = "\n".join(path.read_text() for path in SOURCES)
    said = r'(?:logger\.\w+\(|record\.msg, record\.args = )\s*"([a-z]+\.[a-z_]+)'
    assert sorted(documented) == sorted(set(re.findall(said, sources)))


def test_settings_of_tasks_are_those_of_the_code():
    names = [name for name, *_ in table(page("docs/operations.md"), "setting")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(names))) == sorted(TaskSettings.__struct_fields__)


@pytest.mark.django_db
def test_permissions_of_roles_are_those_that_migrations_give():
    roles.make()
    permission = ("permissions__content_type__app_label", "permissions__codename")
    given = Group.objects.values_list("name", *permission)
    documented = [
        (role, *name.split("."))
        for _, names, who in table(page("docs/operations.md"), "to")
        for role in who.split(", ")
        for name in CODE.findall(names)
    ]
    assert sorted(documented) == sorted(given)


def test_settings_are_those_that_are_read():
    documented = re.findall(r"^#?([A-Z_]+)=", page(".env.example"), re.MULTILINE)
    read = {
        *settings_read(HOUSE / "config" / "settings.py"),
        *settings_read(HOUSE / "config" / "embedded.py"),
        *re.findall(r"(?<!\$)\$\{([A-Z_]+)", page("docker-compose.yml")),
    }
    assert sorted(documented) == sorted(read)


def test_settings_are_explained_and_commented_out():
    lines = page(".env.example").splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith("# "):
            assert re.match(r"#[A-Z_]+=", line), line
            assert lines[number - 1].startswith("# "), line


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    targets = [link.partition("#")[0] for link in LINK.findall(prose(path.read_text()))]
    inner = [target for target in targets if target and not re.match(r"\w+:", target)]
    assert [target for target in inner if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_files_that_are_named_exist(path):
    named = set(FILE.findall(path.read_text()))
    assert sorted(name for name in named if not (HOUSE / name).exists()) == []


def test_the_tour_has_ten_stops_each_with_a_function_that_exists():
    stops = re.split(r"^## \d+\. ", page("docs/tour.md"), flags=re.MULTILINE)[1:]
    assert len(stops) == 10
    for stop in stops:
        named = NAMED_FUNCTION.findall(stop)
        assert named, stop
        for name, target in named:
            assert name in names_of(HOUSE / "docs" / target), f"{name} in {target}"


def test_the_tests_that_requirements_name_exist():
    named = TEST.findall(page("docs/requirements.md"))
    assert named
    assert [
        test
        for test in named
        if not (HOUSE / test.partition("::")[0]).exists()
        or test.partition("::")[2] not in names_of(HOUSE / test.partition("::")[0])
    ] == []


def test_every_requirement_has_a_test_or_a_plan():
    text = page("docs/requirements.md").partition("\n## What was translated\n")[0]
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    demands = [row for part in parts for row in table(part, "demand")]
    assert len(parts) == 3
    assert len(demands) > 80
    for demand, _, proof in demands:
        plans = {plan.strip() for plan in re.findall(r"planned: ([a-z ]+)", proof)}
        assert TEST.search(proof) or plans, demand
        assert plans <= set(PIECES), demand
