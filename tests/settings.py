"""The settings, on a temporary data folder: tests must not touch that of an installation."""

import atexit
import os
import shutil
import sys
import tempfile

# Each process that runs tests has a folder of its own, which its child processes share.
if not os.environ.get("EMEND_TEST_DATA_DIR", "").endswith(
    process := os.environ.get("PYTEST_XDIST_WORKER", "-main")
):
    folder = tempfile.mkdtemp(prefix="emend-test-", suffix=process)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["EMEND_TEST_DATA_DIR"] = os.environ["EMEND_DATA_DIR"] = folder
    os.environ["ERASURE_LOG_URL"] = f"{folder}/erasures"

# Where no byte code is kept, each process that tests start would compile all that it imports.
if sys.dont_write_bytecode:
    folder = tempfile.mkdtemp(prefix="emend-byte-code-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = folder
    sys.dont_write_bytecode = False

from config.settings import *  # noqa: F403

# The default takes a quarter of a second for each user that a test makes.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
