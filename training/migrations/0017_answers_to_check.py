"""Answers that moderators are to check, and inputs that measure and so are never trained on."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

from config.database import CURRENT_TRANSACTION
from config.transitions import guard_status, touch_on_change

STATUSES = ("open", "answered", "gone")
REASONS = [
    ("consent_withdrawn", "a person behind it does not permit training"),
    ("unverified", "nobody vouched for who sent it"),
    ("quarantined", "its contributor is quarantined"),
    ("undecided", "its feedback is not processed, or not any more"),
    ("outdone", "the same person's later act counts"),
    ("label_gone", "its label is none of the task's any more"),
    ("random_slice", "its input is kept to measure how often models are right"),
    ("silent_holdout", "silence proves nothing, so it is not held out"),
    ("not_in_dataset", "the dataset's settings leave it out"),
    ("too_short", "too little is written in it"),
    ("near_identical", "what was chosen is hardly other than what was rejected"),
    ("in_holdout", "its input lies in the holdout"),
    ("near_holdout", "it is nearly the same as a row of the holdout"),
]
FIELDS = [
    (
        "id",
        models.BigAutoField(
            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
        ),
    ),
    ("worth", models.FloatField(default=0.0)),
    (
        "exposure",
        models.PositiveIntegerField(default=1, help_text="How often its input was served."),
    ),
    (
        "alike",
        models.PositiveIntegerField(default=1, help_text="Silent answers that it stands for."),
    ),
    ("place", models.PositiveIntegerField(default=0, help_text="In the list of its task.")),
    ("is_random", models.BooleanField(default=False)),
    (
        "propensity",
        models.FloatField(null=True, help_text="The chance by which it was drawn."),
    ),
    ("drawn_of", models.PositiveIntegerField(null=True, help_text="So many silent answers.")),
    (
        "status",
        models.CharField(
            choices=[(name, name) for name in STATUSES], default="open", max_length=10
        ),
    ),
    ("answered_by", models.CharField(default="", max_length=150)),
    ("answered_at", models.DateTimeField(null=True)),
    (
        "seconds",
        models.FloatField(null=True, help_text="From taking it up until the answer."),
    ),
    ("chosen_at", models.DateTimeField(db_default=Now(), editable=False)),
    ("touched", models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)),
    (
        "feedback",
        models.OneToOneField(
            null=True,
            on_delete=django.db.models.deletion.PROTECT,
            related_name="checked",
            to="feedback.feedback",
        ),
    ),
    (
        "inference",
        models.OneToOneField(
            on_delete=django.db.models.deletion.CASCADE,
            related_name="to_check",
            to="feedback.inference",
        ),
    ),
    (
        "task",
        models.ForeignKey(
            db_index=False,
            on_delete=django.db.models.deletion.PROTECT,
            related_name="to_check",
            to="feedback.task",
        ),
    ),
]


class Migration(migrations.Migration):
    dependencies = [("feedback", "0017_review_queue"), ("training", "0016_one_upkeep")]
    operations = [
        migrations.AlterField(
            model_name="leftout",
            name="reason",
            field=models.CharField(choices=REASONS, max_length=20),
        ),
        migrations.CreateModel(
            name="AnswerToCheck",
            fields=FIELDS,
            options={
                "verbose_name_plural": "answers to check",
                "indexes": [
                    models.Index(
                        condition=Q(status="open"), fields=["place", "id"], name="to_check_open"
                    ),
                    models.Index(fields=["task", "status"], name="to_check_by_task"),
                    models.Index(fields=["task", "touched"], name="to_check_by_touch"),
                ],
            },
        ),
        guard_status(
            "training_answertocheck",
            ["answered>open", "gone>open", "open>answered", "open>gone"],
        ),
        touch_on_change("training_answertocheck", "is_random", "status"),
    ]
