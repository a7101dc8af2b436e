"""Hourly figures for the dashboard; what failed is found without reading all feedback."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0017_review_queue"),
        ("privacy", "0011_staff_projects"),
    ]

    operations = [
        migrations.CreateModel(
            name="FiguresMark",
            fields=[
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="figures",
                        serialize=False,
                        to="privacy.project",
                    ),
                ),
                (
                    "seen_to",
                    models.BigIntegerField(
                        help_text="Transactions from this one on may not be counted."
                    ),
                ),
                ("measured_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="HourFigures",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="hours",
                        to="feedback.task",
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("captured", models.PositiveIntegerField(db_default=0)),
                ("signals", models.JSONField(default=dict, help_text="The same by signal.")),
                ("flagged", models.PositiveIntegerField(db_default=0)),
                ("processed", models.PositiveIntegerField(db_default=0)),
                ("decided", models.PositiveIntegerField(db_default=0)),
                (
                    "p50_seconds",
                    models.FloatField(help_text="From ready to processed, the median.", null=True),
                ),
                ("p99_seconds", models.FloatField(null=True)),
                ("last_captured_at", models.DateTimeField(null=True)),
                ("last_processed_at", models.DateTimeField(null=True)),
                ("last_decided_at", models.DateTimeField(null=True)),
                ("open_flagged", models.PositiveIntegerField(null=True)),
                ("open_pending", models.PositiveIntegerField(null=True)),
            ],
        ),
        migrations.AddConstraint(
            model_name="hourfigures",
            constraint=models.UniqueConstraint(fields=("task", "hour"), name="one_row_an_hour"),
        ),
        migrations.AddIndex(
            model_name="feedback",
            index=models.Index(
                condition=models.Q(("status", "failed")),
                fields=["created_at"],
                name="feedback_failed",
            ),
        ),
    ]
