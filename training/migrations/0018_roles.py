"""What the roles of staff may do with datasets, models and answers to check."""

from django.db import migrations

from privacy.roles import granting

CHECK = ["view_answertocheck", "change_answertocheck"]
GIVEN = {
    "moderator": CHECK,
    "lead": CHECK,
    "engineer": [
        *("view_dataset", "view_datasetversion", "view_leftout", "view_run", "view_modelversion"),
        *("view_modelalias", "view_rollout", "view_modelerasure", "change_modelerasure"),
    ],
    "privacy officer": ["view_modelversion", "view_modelerasure", "change_modelerasure"],
}


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0017_answers_to_check"),
        ("privacy", "0012_roles"),
    ]

    operations = [granting("training", GIVEN)]
