#!/usr/bin/env python
"""Run a management command, with the embedded PostgreSQL where no DATABASE_URL names another."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError, ProgrammingError
from psycopg.errors import UndefinedTable

from config import embedded
from config.supervisor import CannotRunError

# These need no database, or (`up`, `demo`) run the services themselves.
WITHOUT_DATABASE = {
    "check",
    "collectstatic",
    "demo",
    "diffsettings",
    "findstatic",
    "help",
    "spectacular",
    "up",
    "version",
}


def main() -> None:
    """Run the command line; end with one sentence when the services cannot run."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    arguments = sys.argv[1:]
    # `gate TASK --version N` names a model: only in front is it a question.
    is_question = not arguments or arguments[0] == "--version" or {"-h", "--help"} & set(arguments)
    try:
        # Asked of the settings, because the URL may stand in the file .env that they read.
        if not is_question and arguments[0] not in WITHOUT_DATABASE and not settings.DATABASE_URL:
            embedded.ensure_running()
            if arguments[0] == "dbshell":  # the machine may have no psql, or an older one
                os.environ["PATH"] = f"{embedded.postgres_binaries()}:{os.environ['PATH']}"
    except (CannotRunError, ImproperlyConfigured, PermissionError) as error:
        sys.exit(f"Cannot run: {error}")
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        sys.exit(f"Cannot run: the database does not answer: {error}")
    except ProgrammingError as error:
        if not isinstance(error.__cause__, UndefinedTable):
            raise
        sys.exit("Cannot run: the database lacks tables; `manage.py migrate` makes them.")


if __name__ == "__main__":
    main()
