"""What the roles of staff may do with feedback."""

from django.db import migrations

from privacy.roles import granting

LOOK = ["view_feedback", "view_inference", "view_contributor", "view_task"]
DECIDE = [*LOOK, "change_feedback"]
GIVEN = {
    "moderator": DECIDE,
    "lead": [*DECIDE, "change_contributor", "view_review", "view_deadletter", "retry_feedback"],
    "engineer": [*LOOK, "view_review", "view_deadletter", "retry_feedback"],
    "privacy officer": [*LOOK, "view_deadletter"],
}


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0018_figures"),
        ("privacy", "0012_roles"),
    ]

    operations = [granting("feedback", GIVEN)]
