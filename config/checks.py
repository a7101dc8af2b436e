"""What is said of the settings before Emend starts, beside Django's own checks."""

from typing import Any

from django.conf import settings
from django.core.checks import Info, Tags, register
from django.core.checks import Warning as Caution

from config import storage


@register(Tags.security, deploy=True)
def addresses_of_people(**_options: Any) -> list[Info]:
    """Say where everybody may have the address of one proxy.

    No warning, for one case is right: a web server that ends TLS itself, with no proxy in front.
    """
    if not settings.IS_HTTPS or settings.TRUSTED_PROXIES:
        return []
    said = "EMEND_URL has https and TRUSTED_PROXIES is 0: behind a proxy all have its address."
    hint = "Set TRUSTED_PROXIES to how many proxies there are, else all people share one limit."
    return [Info(said, hint=hint, id="config.I001")]


@register(Tags.database)
def storage_answers(**options: Any) -> list[Caution]:
    """Say why STORAGE_URL cannot be used; asked with the database, as `migrate` and `up` do.

    No error: capture works without, and a store that is away comes back.
    """
    problem = storage.problem() if options.get("databases") else ""
    said = f"STORAGE_URL cannot be used: {problem}"
    hint = "Models and images are neither stored nor read; .env.example says what it may be."
    return [Caution(said, hint=hint, id="config.W001")] if problem else []
