import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0003_history_is_append_only"),
        ("feedback", "0003_history_is_append_only"),
    ]
    operations = [
        migrations.CreateModel(
            name="LeftOut",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("similarity", models.FloatField()),
                (
                    "example",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="feedback.example",
                    ),
                ),
                (
                    "holdout_example",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="feedback.example",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="left_out",
                        to="training.datasetversion",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "left out",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("version", "example"), name="left_out_once_a_version"
                    )
                ],
            },
        ),
    ]
