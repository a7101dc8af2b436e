import django.db.models.deletion
import django.db.models.functions.datetime
import simple_history.models
from django.conf import settings
from django.db import migrations, models

from config.transitions import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0011_dead_letters"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="approving_ratio",
            field=models.FloatField(
                editable=False,
                help_text="How often honest people say that an answer is right.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="disagreeing_ratio",
            field=models.FloatField(
                editable=False, help_text="How often honest people say that it is wrong.", null=True
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="scored_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="task",
            name="silence_estimate",
            field=models.FloatField(
                editable=False, help_text="What silence weighs by the audited answers.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="example",
            name="base_weight",
            field=models.FloatField(
                help_text="The signal's weight times the quality of the change; of silence 1."
            ),
        ),
        migrations.CreateModel(
            name="HistoricalContributor",
            fields=[
                (
                    "id",
                    models.BigIntegerField(
                        auto_created=True, blank=True, db_index=True, verbose_name="ID"
                    ),
                ),
                (
                    "standing",
                    models.CharField(
                        choices=[
                            ("probation", "on probation: too few acts to judge by"),
                            ("trusted", "trusted"),
                            (
                                "quarantined",
                                "quarantined: each act is looked at, none is trained on",
                            ),
                        ],
                        default="probation",
                        max_length=12,
                    ),
                ),
                ("trust", models.FloatField(default=1.0)),
                (
                    "is_held",
                    models.BooleanField(
                        default=False, help_text="A moderator decided; scores do not change it."
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=200)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                ("history_change_reason", models.CharField(max_length=100, null=True)),
                (
                    "history_type",
                    models.CharField(
                        choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
                    ),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="feedback.task",
                    ),
                ),
            ],
            options={
                "verbose_name": "historical contributor",
                "verbose_name_plural": "historical contributors",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="Contributor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("user_id", models.CharField(max_length=128)),
                (
                    "standing",
                    models.CharField(
                        choices=[
                            ("probation", "on probation: too few acts to judge by"),
                            ("trusted", "trusted"),
                            (
                                "quarantined",
                                "quarantined: each act is looked at, none is trained on",
                            ),
                        ],
                        default="probation",
                        max_length=12,
                    ),
                ),
                ("trust", models.FloatField(default=1.0)),
                (
                    "is_held",
                    models.BooleanField(
                        default=False, help_text="A moderator decided; scores do not change it."
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=200)),
                ("honesty", models.FloatField(null=True)),
                ("evidence", models.FloatField(null=True)),
                ("acts", models.PositiveIntegerField(default=0)),
                ("agreed", models.PositiveIntegerField(default=0)),
                ("disagreed", models.PositiveIntegerField(default=0)),
                ("scored_at", models.DateTimeField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="contributors",
                        to="feedback.task",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("standing", "quarantined")),
                        fields=["task", "user_id"],
                        name="contributor_quarantined",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("task", "user_id"), name="one_contributor_a_task"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("standing__in", ["probation", "trusted", "quarantined"])
                        ),
                        name="contributor_standing_known",
                    ),
                ],
            },
        ),
        append_only("feedback_historicalcontributor"),
    ]
