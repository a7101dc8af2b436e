from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0009_membership_is_guarded"),
    ]

    operations = [
        migrations.CreateModel(
            name="Upkeep",
            fields=[
                (
                    "task",
                    models.CharField(max_length=60, primary_key=True, serialize=False),
                ),
                ("done_at", models.DateTimeField()),
            ],
        ),
    ]
