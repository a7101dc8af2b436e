import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from config.transitions import guard_status


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0010_upkeep"),
    ]

    operations = [
        migrations.CreateModel(
            name="ModelCredit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("error", models.CharField(default="", max_length=500)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("queued", "queued"), ("ready", "ready"), ("failed", "failed")],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("document", models.JSONField(default=dict)),
                (
                    "model_version",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="credit",
                        to="training.modelversion",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        guard_status("training_modelcredit", ["queued>failed", "queued>ready"]),
    ]
