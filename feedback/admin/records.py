"""Tasks and inferences, to look at."""

import msgspec
from django.contrib import admin
from django.template.loader import render_to_string

from feedback.admin.words import excerpt
from feedback.models import Inference, Task
from feedback.task_settings import TaskSettings
from privacy.admin import ReadOnlyAdmin, age


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """Tasks are made and changed by the API; how they were set at any time is in their history."""

    list_display = ["slug", "project", "modality", "label_list", "retraining", "created"]
    list_filter = ["project", "modality"]
    list_select_related = ["project"]
    search_fields = ["slug"]
    fields = [
        *("slug", "project", "modality", "label_list", "types", "settings_explained"),
        *("retrain_every_hours", "retrain_after_examples", "next_retrain_at", "created_at"),
        "changes",
    ]
    readonly_fields = ["label_list", "types", "settings_explained", "changes"]

    @admin.display(description="Labels")
    def label_list(self, task: Task) -> str:
        return render_to_string("emend/content.html", {"value": ", ".join(task.labels)})

    @admin.display(description="Correction types")
    def types(self, task: Task) -> str:
        return render_to_string("emend/content.html", {"value": ", ".join(task.correction_types)})

    @admin.display()
    def retraining(self, task: Task) -> str:
        rules = []
        if task.retrain_every_hours:
            rules.append(f"every {task.retrain_every_hours} h")
        if task.retrain_after_examples:
            rules.append(f"after {task.retrain_after_examples} new examples")
        return ", ".join(rules) or "when asked"

    @admin.display(description="Settings")
    def settings_explained(self, task: Task) -> str:
        """List every setting with what counts now, its default and its meaning."""
        (schema,) = msgspec.json.schema_components([TaskSettings])[1].values()
        settings = [
            {
                "name": name,
                "value": getattr(task.options, name),
                "is_default": getattr(task.options, name) == described.get("default"),
                "help": described.get("description", ""),
            }
            for name, described in schema["properties"].items()
        ]
        return render_to_string("emend/settings.html", {"settings": settings})


@admin.register(Inference)
class InferenceAdmin(ReadOnlyAdmin):
    list_display = ["what", "answer", "task", "certainty", "version", "user_id", "age"]
    list_filter = ["task"]
    list_select_related = ["task"]
    ordering = ["-created_at"]
    search_fields = ["user_id__startswith", "uuid__startswith", "target_id__exact"]
    list_per_page = 50
    fields = [
        *("uuid", "project", "task", "input_text", "output_text", "certainty", "version"),
        *("target_type", "target_id", "parent", "user_id", "is_verified", "session_id"),
        *("redactions", "occurred_at", "created_at"),
    ]
    readonly_fields = ["uuid", "input_text", "output_text", "certainty", "version"]

    @admin.display(description="Input")
    def what(self, inference: Inference) -> str:
        return excerpt(inference.input)

    @admin.display(description="Output")
    def answer(self, inference: Inference) -> str:
        return excerpt(inference.output)

    @admin.display(description="Input")
    def input_text(self, inference: Inference) -> str:
        return render_to_string("emend/content.html", {"value": inference.input})

    @admin.display(description="Output")
    def output_text(self, inference: Inference) -> str:
        return render_to_string("emend/content.html", {"value": inference.output})

    @admin.display(description="Model version")
    def version(self, inference: Inference) -> str:
        return render_to_string("emend/content.html", {"value": inference.model_version})

    @admin.display(description="Confidence", ordering="confidence")
    def certainty(self, inference: Inference) -> str:
        return "not given" if inference.confidence is None else f"{inference.confidence:.1%}"

    @admin.display(description="Age", ordering="created_at")
    def age(self, inference: Inference) -> str:
        return age(inference.created_at)
