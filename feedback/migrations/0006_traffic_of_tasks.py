from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("feedback", "0005_claims")]
    operations = [
        migrations.AddField(
            model_name="task",
            name="measured_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="task",
            name="rewrite_distance",
            field=models.FloatField(
                editable=False, help_text="99.5% of this task's corrections change less.", null=True
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="weekly_users",
            field=models.PositiveIntegerField(
                default=0,
                editable=False,
                help_text="People who were shown an answer in the last week.",
            ),
        ),
    ]
