"""Datasets, runs, models and rollouts, to look at; they change through the API alone."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from config.errors import EmendError
from feedback.admin.words import excerpt
from privacy.admin import ReadOnlyAdmin, age
from training import balance, crediting, drawing, lineage
from training.errors import NoCredit
from training.models import (
    Dataset,
    DatasetVersion,
    GateResult,
    LeftOut,
    ModelAlias,
    ModelErasure,
    ModelVersion,
    Rollout,
    Run,
)


def accuracy(run: Run) -> str:
    """Write a run's holdout accuracy with its 95% interval, as far as it is known."""
    holdout = run.metrics.get("holdout") or {}
    if "accuracy" not in holdout:
        return "not measured"
    low, high = holdout.get("accuracy_low"), holdout.get("accuracy_high")
    interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{holdout['accuracy']:.1%}{interval}"


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "task", "purpose", "newest", "created"]
    list_filter = ["project", "task"]
    list_select_related = ["project", "task"]
    search_fields = ["name"]
    fields = ["name", "project", "task", "purpose", "settings", "created_at", "changes"]
    readonly_fields = ["changes"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        versions = DatasetVersion.objects.filter(dataset=OuterRef("pk")).order_by("-version")
        newest = Subquery(versions.values("version")[:1])
        datasets: QuerySet[Any] = super().get_queryset(request).annotate(newest_version=newest)
        return datasets

    @admin.display(description="Newest version", ordering="newest_version")
    def newest(self, dataset: Any) -> str:
        return "none yet" if dataset.newest_version is None else f"v{dataset.newest_version}"


# In the order in which people ask; JSON of the database keeps none.
COUNTS = ["total", "added", "removed", "splits", "labels"]
COUNTS += ["sources", "by_signal", "by_source", "left_out"]


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnlyAdmin):
    project_path = "dataset__project"
    list_display = ["__str__", "status", "total", "added", "removed", "digest", "created"]
    list_filter = ["status", "dataset"]
    search_fields = ["name", "content_hash__startswith"]
    ordering = ["-created_at"]
    fields = [
        *("dataset", "version", "parent", "status", "content_hash", "current_hash", "numbers"),
        *("as_of", "build_seconds", "is_compared", "error", "created_at", "erased", "way"),
        "balance_page",
    ]
    readonly_fields = ["numbers", "erased", "way", "balance_page"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.balance_view)
        place = path("<int:pk>/balance/", view, name="training_datasetversion_balance")
        return [place, *super().get_urls()]

    def balance_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        version = get_object_or_404(self.get_queryset(request), pk=pk)
        found, fault = None, ""
        if version.status == "ready":
            try:
                found = balance.of_version(version)
            except EmendError as error:  # a file that is damaged or away
                fault = error.detail
        context = self.admin_site.each_context(request) | {
            "title": f"Balance of {version}",
            "opts": self.opts,
            "original": version,
            "found": found,
            "fault": fault,
        }
        return TemplateResponse(request, "admin/training/datasetversion/balance.html", context)

    @admin.display(description="Balance")
    def balance_page(self, version: DatasetVersion) -> str:
        url = reverse("admin:training_datasetversion_balance", args=[version.pk])
        return format_html('<a href="{}">What is in it, and where models fail</a>', url)

    @admin.display(description="Lineage")
    def way(self, version: DatasetVersion) -> str:
        return drawing.picture(lineage.of_version(version, has_keys=True))

    @admin.display(description="Taken out by erasures")
    def erased(self, version: DatasetVersion) -> str:
        told = ((f"{row.rows:,}", row.erasure, age(row.at)) for row in version.erasures.all())
        return format_html_join("", "<div>{} examples by erasure {}, {}</div>", told) or "nothing"

    @admin.display(description="Counts")
    def numbers(self, version: DatasetVersion) -> str:
        counts = version.feedback_source | version.counts
        told = ((k.replace("_", " "), _counted(counts[k])) for k in COUNTS if k in counts)
        return format_html_join("", "<div>{}: {}</div>", told)

    @admin.display(description="Examples")
    def total(self, version: DatasetVersion) -> str:
        return f"{version.counts.get('total', 0):,}"

    @admin.display()
    def added(self, version: DatasetVersion) -> str:
        return f"+{version.counts.get('added', 0):,}"

    @admin.display()
    def removed(self, version: DatasetVersion) -> str:
        return f"-{version.counts.get('removed', 0):,}"

    @admin.display(description="Content hash")
    def digest(self, version: DatasetVersion) -> str:
        return version.content_hash[:12] or "being built"


def _counted(count: int | dict[str, int]) -> str:
    if isinstance(count, int):
        return f"{count:,}"
    return ", ".join(f"{name} {number:,}" for name, number in sorted(count.items())) or "none"


@admin.register(LeftOut)
class LeftOutAdmin(ReadOnlyAdmin):
    """What versions might have taken and did not."""

    project_path = "dataset__project"
    list_display = ["what", "reason", "feedback", "dataset", "since_version", "until_version"]
    list_display_links = None
    list_filter = ["reason", "dataset"]
    list_select_related = ["dataset", "example__feedback"]
    ordering = ["-pk"]
    show_full_result_count = False

    @admin.display(description="Input")
    def what(self, row: LeftOut) -> str:
        return excerpt(row.example.input)

    @admin.display(description="Feedback")
    def feedback(self, row: LeftOut) -> str:
        feedback = row.example.feedback
        if feedback is None:
            return "none"
        url = reverse("admin:feedback_feedback_change", args=[feedback.pk])
        return format_html('<a href="{}" title="{}">{}</a>', url, feedback, str(feedback)[:8])


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    project_path = "task__project"
    list_display = ["short", "task", "status", "data", "accuracy", "failed_gates", "created"]
    list_filter = ["status", "task"]
    list_select_related = ["task", "dataset_version"]
    search_fields = ["uuid__startswith"]
    ordering = ["-created_at"]
    fields = [
        *("uuid", "task", "status", "gates", "accuracy", "dataset_version", "strategy", "seed"),
        *("config", "metrics", "cost", "fingerprint", "error", "created_at", "ended_at"),
    ]
    readonly_fields = ["uuid", "accuracy", "gates"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("gate_results")

    @admin.display(description="Run")
    def short(self, run: Run) -> str:
        return str(run.uuid)[:8]

    @admin.display(description="Dataset")
    def data(self, run: Run) -> str:
        return str(run.dataset_version or "not built yet")

    @admin.display(description="Accuracy (95% interval)")
    def accuracy(self, run: Run) -> str:
        return accuracy(run)

    @admin.display(description="Refused by")
    def failed_gates(self, run: Run) -> str:
        failed = [gate.name for gate in run.gate_results.all() if not gate.passed]
        return ", ".join(failed) or ("no gate" if run.status == "passed" else "")

    @admin.display(description="Gates")
    def gates(self, run: Run) -> str:
        results: list[GateResult] = sorted(run.gate_results.all(), key=lambda gate: gate.pk)
        return render_to_string("emend/gates.html", {"gates": results})


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    project_path = "task__project"
    list_display = ["__str__", "serves_as", "verdict", "accuracy", "digest", "erased", "created"]
    list_filter = ["task", "run__status", ("withdrawn_at", admin.EmptyFieldListFilter)]
    list_select_related = ["task", "run"]
    ordering = ["-created_at"]
    fields = [
        *("task", "version", "serves_as", "accuracy", "run", "weights_hash", "artifact_bytes"),
        *("created_at", "erased", "archived", "way", "taught_by"),
    ]
    readonly_fields = ["serves_as", "accuracy", "erased", "archived", "way", "taught_by"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        models: QuerySet[Any] = super().get_queryset(request)
        return models.prefetch_related("aliases", "erasures__replacement__task")

    @admin.display(description="Erased from")
    def erased(self, model: ModelVersion) -> str:
        rows = ((erasure_page(row), told(row)) for row in model.erasures.all())
        return format_html_join("", "<div>{}: {}</div>", rows) or "no"

    @admin.display(description="Archive of what it learned from")
    def archived(self, model: ModelVersion) -> str:
        parts = model.archives.order_by("part").values_list("part", "sha256")
        return format_html_join("", "<div>part {}: {}</div>", parts) or "none"

    @admin.display(description="Lineage")
    def way(self, model: ModelVersion) -> str:
        return drawing.picture(lineage.of_model(model, has_keys=True))

    @admin.display(description="Serves as")
    def serves_as(self, model: ModelVersion) -> str:
        return ", ".join(alias.name for alias in model.aliases.all())

    @admin.display(description="Gates said")
    def verdict(self, model: ModelVersion) -> str:
        return model.run.status

    @admin.display(description="Accuracy (95% interval)")
    def accuracy(self, model: ModelVersion) -> str:
        return accuracy(model.run)

    @admin.display(description="Weights hash")
    def digest(self, model: ModelVersion) -> str:
        return model.weights_hash[:12]

    @admin.display(description="Credit, most harmful first")
    def taught_by(self, model: ModelVersion) -> str:
        try:
            return render_to_string("emend/credit.html", crediting.of_model(model, limit=20))
        except NoCredit as error:
            return error.detail


def told(row: ModelErasure) -> str:
    """Say what became of a model that had learned from an erased person."""
    new = "" if row.replacement is None else f" ({row.replacement})"
    return f"{row.get_fate_display()}{new}"


def erasure_page(row: ModelErasure) -> str:
    url = reverse("admin:training_modelerasure_change", args=[row.pk])
    return format_html('<a href="{}" title="{}">{:.8}</a>', url, row.erasure, str(row.erasure))


class DecisionForm(forms.ModelForm):
    class Meta:
        widgets = {"decision": forms.Textarea(attrs={"rows": 3})}


@admin.register(ModelErasure)
class ModelErasureAdmin(ReadOnlyAdmin):
    """Models that had learned from erased people; what people decide about one is noted here."""

    form = DecisionForm
    project_path = "model_version__task__project"
    list_display = ["model_version", "erasure", "what", "decision", "since"]
    list_filter = ["fate", "model_version__task"]
    list_select_related = ["model_version__task", "replacement__task"]
    search_fields = ["erasure"]
    ordering = ["-pk"]
    fields = ["model_version", "erasure", "what", "run", "at", "decision", "decided"]
    readonly_fields = ["model_version", "erasure", "what", "run", "at", "decided"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("training.change_modelerasure")

    def save_model(self, request: HttpRequest, obj: Any, *args: Any) -> None:
        obj.decided_by, obj.decided_at = request.user.get_username(), timezone.now()
        super().save_model(request, obj, *args)

    @admin.display(description="What became of it", ordering="fate")
    def what(self, row: ModelErasure) -> str:
        return told(row)

    @admin.display(description="Age", ordering="at")
    def since(self, row: ModelErasure) -> str:
        return age(row.at)

    @admin.display(description="Decided")
    def decided(self, row: ModelErasure) -> str:
        if row.decided_at is None:
            return "not yet"
        return format_html("{} by {}", age(row.decided_at), row.decided_by)


@admin.register(ModelAlias)
class ModelAliasAdmin(ReadOnlyAdmin):
    project_path = "task__project"
    list_display = ["name", "task", "model_version", "since"]
    list_filter = ["task", "name"]
    list_select_related = ["task", "model_version__task"]
    fields = ["task", "name", "model_version", "changes"]
    readonly_fields = ["changes"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        history = ModelAlias.history.filter(id=OuterRef("pk")).order_by("-history_id")
        moved = Subquery(history.values("history_date")[:1])
        aliases: QuerySet[Any] = super().get_queryset(request).annotate(moved_at=moved)
        return aliases

    @admin.display(ordering="moved_at")
    def since(self, alias: Any) -> str:
        return age(alias.moved_at)


@admin.register(Rollout)
class RolloutAdmin(ReadOnlyAdmin):
    project_path = "task__project"
    list_display = [
        *("short", "task", "status", "challenger", "champion", "percent", "decision", "created"),
    ]
    list_filter = ["status", "task"]
    list_select_related = ["task", "challenger__task", "champion__task"]
    ordering = ["-created_at"]
    fields = [
        *("uuid", "task", "status", "champion", "challenger", "percent", "decision"),
        *("plan", "evidence", "created_at", "changes"),
    ]
    readonly_fields = ["uuid", "percent", "changes"]

    @admin.display(description="Rollout")
    def short(self, rollout: Rollout) -> str:
        return str(rollout.uuid)[:8]

    @admin.display(description="Share", ordering="share")
    def percent(self, rollout: Rollout) -> str:
        return f"{rollout.share:.0%}"
