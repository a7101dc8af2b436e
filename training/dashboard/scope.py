"""Which tasks a member of the staff looks at: those of given projects, or a choice of them."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from feedback.models import Task
from privacy.staff import projects_of, within


@dataclass(frozen=True)
class Scope:
    """The tasks that a page is about; `of` is "project", "project/task" or "" for all."""

    user: Any
    of: str
    tasks: list[Task]
    given: list[Task]

    @property
    def ids(self) -> list[int]:
        return [task.pk for task in self.tasks]

    @property
    def has_project(self) -> bool:
        """Say whether a project is given to the person, be it one without tasks yet."""
        return bool(self.given) or self.user.is_superuser or projects_of(self.user).exists()

    @property
    def may_retry(self) -> bool:
        may = self.user.has_perm
        return bool(may("feedback.retry_feedback") or may("feedback.change_feedback"))

    @property
    def choices(self) -> dict[str, list[Task]]:
        """The tasks given to the person, by project."""
        found: dict[str, list[Task]] = {}
        for task in self.given:
            found.setdefault(task.project.slug, []).append(task)
        return found

    def of_projects(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Keep rows that belong to a project rather than to a task."""
        given = within(rows, self.user)
        return given.filter(project__slug=self.of.split("/")[0]) if self.of else given


def scope_of(user: Any, of: str) -> Scope:
    """Return what the person chose; what is not theirs, or not there, is no choice."""
    tasks = within(Task.objects.select_related("project"), user)
    given = list(tasks.order_by("project__slug", "slug"))
    chosen = [task for task in given if of in (task.project.slug, name_of(task))]
    return Scope(user, of if chosen else "", chosen or given, given)


def name_of(task: Task) -> str:
    return f"{task.project.slug}/{task.slug}"
