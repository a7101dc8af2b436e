from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0012_lean_memberships"),
    ]

    operations = [
        migrations.AddField(
            model_name="datasetversion",
            name="is_compared",
            field=models.BooleanField(
                default=True,
                help_text="Nearly equal texts were kept apart; false where too many are alike for that.",
            ),
        ),
    ]
