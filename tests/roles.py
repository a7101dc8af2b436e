"""The roles of staff, as the migrations make them: tests that flush the tables take them away."""

from importlib import import_module

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from privacy import roles
from privacy.models import StaffProject

GIVEN = {
    "privacy": import_module("privacy.migrations.0012_roles").GIVEN,
    "feedback": import_module("feedback.migrations.0019_roles").GIVEN,
    "training": import_module("training.migrations.0018_roles").GIVEN,
}


def make():
    """Make the groups and give their permissions, as the migrations did."""
    for app, given in GIVEN.items():
        roles.give(apps, app=app, given=given)


def staff(role, *projects, name=""):
    """Return the client of a new member of staff with that role, given these projects."""
    make()
    client = permitted(name or role.replace(" ", "-"), projects=projects)
    client.user.groups.add(Group.objects.get(name=role))
    return client


def permitted(name, *permissions, projects=()):
    """Return the client of a new member of staff with just these permissions and projects."""
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    StaffProject.objects.bulk_create(StaffProject(user=user, project=row) for row in projects)
    client = Client()
    client.force_login(user)
    client.user = user
    return client
