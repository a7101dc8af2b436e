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
