"""The roles of staff, as the migrations make them: tests that flush the tables take them away."""

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from privacy.models import StaffProject
from privacy.roles import give

# Found, not named, so that a later migration is not forgotten here.
GRANTS = [
    operation.code
    for migration in MigrationLoader(None).disk_migrations.values()
    for operation in migration.operations
    if getattr(getattr(operation, "code", None), "func", None) is give
]


def make():
    """Make the groups and give their permissions: do what the migrations do."""
    for grant in GRANTS:
        grant(apps)


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
