"""What the server says of its settings before it goes out."""

import pytest
from django.core.checks import Tags, run_checks


def said():
    found = run_checks(tags=[Tags.security], include_deployment_checks=True)
    return [message for message in found if message.id == "config.I001"]


def test_it_works(settings):
    settings.IS_HTTPS, settings.TRUSTED_PROXIES = True, 0
    (message,) = said()
    assert "TRUSTED_PROXIES" in message.hint


@pytest.mark.parametrize(("is_https", "proxies"), [(True, 1), (False, 0)])
def test_who_counts_proxies_or_has_none_is_told_nothing(settings, is_https, proxies):
    settings.IS_HTTPS, settings.TRUSTED_PROXIES = is_https, proxies
    assert said() == []


def said_of_storage(databases):
    found = run_checks(tags=[Tags.database], databases=databases)
    return [message for message in found if message.id == "config.W001"]


def test_storage_that_cannot_be_used_is_said(settings):
    settings.STORAGE_URL = "ftp://host"
    (message,) = said_of_storage(["default"])
    assert "file:///path or s3://bucket" in message.msg


def test_storage_that_works_is_not_mentioned(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path)
    assert said_of_storage(["default"]) == []


def test_commands_that_ask_no_database_ask_no_storage(settings):
    settings.STORAGE_URL = "ftp://host"
    assert said_of_storage(None) == []
