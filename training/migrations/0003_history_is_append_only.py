from django.db import migrations

from config.transitions import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0002_status_is_guarded"),
        ("feedback", "0003_history_is_append_only"),
    ]
    operations = [
        append_only(
            "training_historicaldataset",
            "training_historicalmodelalias",
            "training_historicalrollout",
        )
    ]
