import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0014_what_dataset_builds_ask"),
        ("training", "0011_credit"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="membership",
            name="membership_by_until",
        ),
        migrations.AlterField(
            model_name="membership",
            name="dataset",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="memberships",
                to="training.dataset",
            ),
        ),
        migrations.AddIndex(
            model_name="membership",
            index=models.Index(
                condition=models.Q(("until_version__isnull", False)),
                fields=["dataset", "until_version"],
                name="membership_by_until",
            ),
        ),
    ]
