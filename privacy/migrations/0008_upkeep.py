from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("privacy", "0007_nothing_comes_after_a_tombstone")]
    operations = [
        migrations.CreateModel(
            name="Upkeep",
            fields=[
                ("task", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("done_at", models.DateTimeField()),
            ],
        ),
    ]
