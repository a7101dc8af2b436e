from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("feedback", "0006_traffic_of_tasks")]
    operations = [
        migrations.AddField(
            model_name="feedback",
            name="act_hash",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="feedback",
            name="corrected_hash",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="feedback",
            name="disagreement",
            field=models.FloatField(
                help_text="1 - the probability that the served model gave to `corrected`.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="feedback",
            name="edit_distance",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="feedback",
            name="quality_parts",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="inference",
            name="arm",
            field=models.CharField(default="", max_length=20),
        ),
        migrations.AddField(
            model_name="inference",
            name="probabilities",
            field=models.JSONField(
                help_text="Of each label, where Emend itself answered: calibrated.", null=True
            ),
        ),
        migrations.AddConstraint(
            model_name="feedback",
            constraint=models.UniqueConstraint(fields=("act_hash",), name="one_feedback_an_act"),
        ),
    ]
