from django.db import migrations

from config.transitions import guard_status


class Migration(migrations.Migration):
    dependencies = [("training", "0001_initial"), ("feedback", "0002_status_is_guarded")]
    operations = [
        guard_status("training_datasets", ["building>failed", "building>ready"]),
        guard_status(
            "training_run",
            [
                "queued>failed",
                "queued>running",
                "running>failed",
                "running>passed",
                "running>refused",
            ],
        ),
        guard_status("training_rollout", ["canary>aborted", "canary>full", "canary>rolled_back"]),
    ]
