"""The settings, on a temporary data folder: tests must not touch that of an installation."""

import atexit
import os
import shutil
import tempfile

# Each process that runs tests has a folder of its own, which its child processes share.
if not os.environ.get("EMEND_TEST_DATA_DIR", "").endswith(
    process := os.environ.get("PYTEST_XDIST_WORKER", "-main")
):
    folder = tempfile.mkdtemp(prefix="emend-test-", suffix=process)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["EMEND_TEST_DATA_DIR"] = os.environ["EMEND_DATA_DIR"] = folder
    os.environ["ERASURE_LOG_URL"] = f"{folder}/erasures"

from config.settings import *  # noqa: F403
