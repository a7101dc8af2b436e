"""Calls management commands as a shell does, and tells how they ended."""

from io import StringIO

from django.core.management import CommandError, call_command


def run(*words):
    """Run a command; return its exit status, standard output and what it refused with."""
    printed, told = StringIO(), StringIO()
    try:
        call_command(*map(str, words), stdout=printed, stderr=told)
    except CommandError as error:
        return error.returncode, printed.getvalue(), str(error)
    except SystemExit as ended:
        return ended.code, printed.getvalue(), told.getvalue()
    return 0, printed.getvalue(), told.getvalue()


def succeed(*words):
    status, printed, told = run(*words)
    assert (status, told) == (0, ""), told
    return printed


def refused(*words, status=1):
    """Return the sentence with which a command ends."""
    ended, _, sentence = run(*words)
    assert ended == status, sentence
    assert "\n" not in sentence
    return sentence
