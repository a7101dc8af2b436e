import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0010_what_a_person_said_last"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("topic", models.CharField(max_length=249)),
                ("partition", models.PositiveIntegerField()),
                ("offset", models.PositiveBigIntegerField()),
                ("source", models.CharField(default="", max_length=500)),
                ("event_id", models.CharField(default="", max_length=500)),
                ("code", models.CharField(max_length=100)),
                ("detail", models.CharField(max_length=500)),
                (
                    "content",
                    models.TextField(
                        default="", help_text="The beginning of the message, redacted."
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("topic", "partition", "offset"), name="one_dead_letter_an_offset"
                    )
                ],
            },
        ),
    ]
