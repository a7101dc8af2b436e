from django.db import migrations, models

from config.database import CURRENT_TRANSACTION
from config.transitions import touch_on_change

DECIDING = {
    "example": ("feedback_example", ["superseded_at"]),
    "feedback": ("feedback", ["status", "is_verified", "user_id", "inference_id", "flags"]),
    "review": ("feedback_review", ["feedback_id", "decision"]),
    "contributor": ("feedback_contributor", ["user_id", "standing"]),
}


class Migration(migrations.Migration):
    dependencies = [("feedback", "0013_letters_of_topics_made_anew")]
    operations = [
        *(
            migrations.AddField(
                model_name=name,
                name="touched",
                field=models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False),
            )
            for name in DECIDING
        ),
        *(touch_on_change(table, *columns) for table, columns in DECIDING.values()),
        *(
            migrations.AddIndex(
                model_name=name,
                index=models.Index(fields=["task", "touched"], name=f"{name}_by_touch"),
            )
            for name in ("example", "feedback", "contributor")
        ),
        migrations.AddIndex(
            model_name="review",
            index=models.Index(fields=["touched"], name="review_by_touch"),
        ),
        migrations.AddIndex(
            model_name="inference",
            index=models.Index(
                fields=["task", "user_id"],
                name="inference_by_user",
                condition=models.Q(user_id__isnull=False),
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="silence_until",
            field=models.DateTimeField(
                editable=False, help_text="Silence about earlier answers was counted.", null=True
            ),
        ),
    ]
