"""Roles of staff, as groups; what they may do with the models of other apps comes with those."""

from django.db import migrations

from privacy.roles import granting

GIVEN = {
    "moderator": [],
    "lead": [],
    "engineer": ["view_project", "view_apikey"],
    "privacy officer": [
        *("view_project", "change_project", "view_consent", "view_accessrecord"),
        *("view_datasubject", "change_datasubject", "delete_datasubject"),
        *("view_erasurerequest", "change_erasurerequest"),
        *("view_retentionrule", "add_retentionrule", "change_retentionrule"),
    ],
}


class Migration(migrations.Migration):
    dependencies = [
        ("privacy", "0011_staff_projects"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [granting("privacy", GIVEN)]
