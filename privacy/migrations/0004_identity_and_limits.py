import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("privacy", "0003_indexes_that_others_begin_with"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="limits",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="In place of the defaults; see docs/operations.md.",
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_digest",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_prefix",
            field=models.CharField(editable=False, max_length=24, null=True, unique=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="historicalproject",
            name="identity_mode",
            field=models.CharField(
                choices=[
                    ("observe", "Store what comes without a token as not verified"),
                    ("enforce", "Refuse what comes without a token"),
                ],
                default="observe",
                help_text="What happens to acts that a capture key brings without a user's token.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="identity_mode",
            field=models.CharField(
                choices=[
                    ("observe", "Store what comes without a token as not verified"),
                    ("enforce", "Refuse what comes without a token"),
                ],
                default="observe",
                help_text="What happens to acts that a capture key brings without a user's token.",
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="IdentitySecret",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("nonce", models.BinaryField(max_length=32)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="identity_secrets",
                        to="privacy.project",
                    ),
                ),
            ],
        ),
    ]
