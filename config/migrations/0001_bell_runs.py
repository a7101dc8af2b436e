from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="BellRun",
            fields=[
                (
                    "task",
                    models.CharField(max_length=100, primary_key=True, serialize=False),
                ),
                ("began_at", models.DateTimeField()),
                ("seconds", models.FloatField()),
                (
                    "fault",
                    models.CharField(
                        help_text="The class of what it raised, if it did.", max_length=100
                    ),
                ),
                (
                    "place",
                    models.CharField(help_text="The session's name in PostgreSQL.", max_length=63),
                ),
            ],
        ),
    ]
