from datetime import UTC, datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0012_contributors"),
    ]

    operations = [
        migrations.AddField(
            model_name="deadletter",
            name="sent_at",
            field=models.DateTimeField(
                default=datetime(1970, 1, 1, tzinfo=UTC),
                help_text="By the broker's clock; 1970 where it keeps none.",
            ),
            preserve_default=False,
        ),
        migrations.RemoveConstraint(model_name="deadletter", name="one_dead_letter_an_offset"),
        migrations.AddConstraint(
            model_name="deadletter",
            constraint=models.UniqueConstraint(
                fields=("topic", "partition", "offset", "sent_at"),
                name="one_dead_letter_a_message",
            ),
        ),
    ]
