from django.db import migrations

from config.transitions import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0002_status_is_guarded"),
        ("privacy", "0002_history_is_append_only"),
    ]
    operations = [
        append_only(
            "feedback_historicaltask", "feedback_historicalfeedback", "feedback_historicalreview"
        )
    ]
