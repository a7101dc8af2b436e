"""The settings, on a temporary data folder: tests must not touch that of an installation."""

import atexit
import os
import shutil
import tempfile

if "EMEND_TEST_DATA_DIR" not in os.environ:  # unset but in the tests' own child processes
    folder = tempfile.mkdtemp(prefix="emend-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["EMEND_TEST_DATA_DIR"] = os.environ["EMEND_DATA_DIR"] = folder

from config.settings import *  # noqa: F403
