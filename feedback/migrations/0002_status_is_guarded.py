from django.db import migrations

from config.transitions import guard_status

PAIRS = [
    "failed>erased",
    "failed>pending",
    "flagged>erased",
    "flagged>pending",
    "flagged>rejected",
    "pending>erased",
    "pending>failed",
    "pending>processed",
    "processed>erased",
    "processed>flagged",
    "rejected>erased",
    "rejected>flagged",
]


class Migration(migrations.Migration):
    dependencies = [("feedback", "0001_initial")]
    operations = [guard_status("feedback", PAIRS)]
