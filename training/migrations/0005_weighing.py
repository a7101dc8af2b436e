from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0004_left_out"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="weighing",
            field=models.JSONField(
                default=dict,
                help_text="By which trust and silence rows were weighed, and what was capped.",
            ),
        ),
    ]
