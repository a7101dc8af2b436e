"""Roles of staff: groups to which each app's migration gives permissions of its own models."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

Given = Mapping[str, Collection[str]]


def give(apps: Any, _editor: Any = None, *, app: str, given: Given) -> None:
    """Make the groups where they are not, and add permissions of an app's models to them."""
    # Else Django makes them at the very end of `migrate`.
    create_permissions(installed.get_app_config(app), verbosity=0, apps=apps)
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label=app)
    for role, names in given.items():
        group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=role)
        found = permissions.filter(codename__in=names)
        if len(found) != len(names):
            raise LookupError(f"{app} has not all of {', '.join(sorted(names))}.")
        group.permissions.add(*found)


def granting(app: str, given: Given) -> migrations.RunPython:
    """Return the operation of a migration; the groups stay when it is taken back."""
    return migrations.RunPython(partial(give, app=app, given=given), migrations.RunPython.noop)
