"""Start-up checks: every table says what it holds of a person."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register

from privacy import holders


@register()
def every_model_is_declared(**_: Any) -> list[CheckMessage]:
    """Refuse to start while it is unknown what a table holds of a person (privacy.E001)."""
    declared = {holder.label for holder in holders.holders()}
    tables = [model._meta for model in apps.get_models() if not model._meta.proxy]
    silent = [table.label for table in tables if table.label not in declared]
    return [
        Error(
            f"{label} does not say what it holds of a person.",
            hint="Add a Holder for it to the holdings.py of its app.",
            id="privacy.E001",
        )
        for label in sorted(silent)
    ]
