"""What `check --deploy` says of the settings, beside Django's own checks."""

from typing import Any

from django.conf import settings
from django.core.checks import Info, Tags, register


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
