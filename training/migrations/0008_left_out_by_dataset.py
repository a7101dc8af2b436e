import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0007_intervals_of_what_was_left_out")]
    operations = [
        migrations.RemoveField(model_name="leftout", name="version"),
        migrations.AlterField(
            model_name="leftout",
            name="dataset",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="left_out",
                to="training.dataset",
            ),
        ),
        migrations.AddIndex(
            model_name="leftout",
            index=models.Index(fields=["dataset", "reason", "-id"], name="left_out_by_reason"),
        ),
        migrations.AddConstraint(
            model_name="leftout",
            constraint=models.UniqueConstraint(
                fields=["dataset", "example"],
                name="left_out_for_one_reason",
                condition=models.Q(until_version=None),
            ),
        ),
    ]
