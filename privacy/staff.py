"""Which projects a member of the staff was given; nobody sees the rows of another."""

from typing import Any, TypeVar

from django.db.models import QuerySet

from privacy.models import Project, StaffProject

Rows = TypeVar("Rows", bound=QuerySet[Any])


def projects_of(user: Any) -> QuerySet[Project]:
    """Return the projects whose rows this person may see: a superuser all."""
    projects = Project.objects.all()
    if user.is_superuser:
        return projects
    return projects.filter(pk__in=StaffProject.objects.filter(user=user.pk).values("project"))


def within(rows: Rows, user: Any, path: str = "project") -> Rows:
    """Keep the rows of projects given to this person; `path` leads from a row to its project."""
    if user.is_superuser:
        return rows
    # Their numbers, not a subquery: what it yields the planner cannot know, and reads all rows.
    given = list(StaffProject.objects.filter(user=user.pk).values_list("project", flat=True))
    return rows.filter(**{f"{path}__in": given})
