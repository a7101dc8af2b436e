import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0003_history_is_append_only"),
        ("privacy", "0002_history_is_append_only"),
    ]
    operations = [
        migrations.CreateModel(
            name="Image",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(db_column="id", default=uuid.uuid4, editable=False)),
                ("user_id", models.CharField(max_length=128, null=True)),
                ("is_verified", models.BooleanField()),
                ("sha256", models.CharField(max_length=64)),
                ("media_type", models.CharField(max_length=20)),
                ("width", models.PositiveIntegerField()),
                ("height", models.PositiveIntegerField()),
                (
                    "difference_hash",
                    models.BigIntegerField(
                        help_text="64 bits as a signed number; alike pictures differ in few of them."
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
        ),
        migrations.AlterField(
            model_name="historicaltask",
            name="modality",
            field=models.CharField(
                choices=[
                    ("classification", "classification"),
                    ("text", "text"),
                    ("layout", "layout"),
                    ("image", "image"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="modality",
            field=models.CharField(
                choices=[
                    ("classification", "classification"),
                    ("text", "text"),
                    ("layout", "layout"),
                    ("image", "image"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="api_key",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="privacy.apikey",
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="privacy.project",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["project", "user_id"], name="image_by_user"),
        ),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.UniqueConstraint(fields=("project", "uuid"), name="one_image_an_id"),
        ),
    ]
