import django.db.models.deletion
from django.db import migrations, models

PURPOSES = [(name, name) for name in ("train", "eval", "preference", "unpaired")]
REASONS = [
    ("consent_withdrawn", "a person behind it does not permit training"),
    ("unverified", "nobody vouched for who sent it"),
    ("quarantined", "its contributor is quarantined"),
    ("undecided", "its feedback is not processed, or not any more"),
    ("outdone", "the same person's later act counts"),
    ("label_gone", "its label is none of the task's any more"),
    ("silent_holdout", "silence proves nothing, so it is not held out"),
    ("not_in_dataset", "the dataset's settings leave it out"),
    ("too_short", "too little is written in it"),
    ("near_identical", "what was chosen is hardly other than what was rejected"),
    ("in_holdout", "its input lies in the holdout"),
    ("near_holdout", "it is nearly the same as a row of the holdout"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0005_weighing"),
        ("feedback", "0014_what_dataset_builds_ask"),
    ]
    operations = [
        *(
            migrations.AlterField(
                model_name=name,
                name="purpose",
                field=models.CharField(choices=PURPOSES, default="train", max_length=10),
            )
            for name in ("dataset", "historicaldataset")
        ),
        migrations.AddField(
            model_name="datasetversion",
            name="current_state",
            field=models.BinaryField(
                default=b"",
                help_text="What erasures left of hash_state; the next version builds on it.",
            ),
        ),
        migrations.AddField(
            model_name="datasetversion",
            name="rules",
            field=models.CharField(
                default="", help_text="Digest of what decided besides the rows.", max_length=64
            ),
        ),
        migrations.AddField(
            model_name="datasetversion",
            name="cluster",
            field=models.BigIntegerField(
                help_text="The database that `seen_to` counts in.", null=True
            ),
        ),
        migrations.AddField(
            model_name="datasetversion",
            name="seen_to",
            field=models.BigIntegerField(
                help_text="Transactions from this one on may not be in the version.", null=True
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="split",
            field=models.CharField(default="", max_length=10),
            preserve_default=False,
        ),
        migrations.CreateModel(
            name="Shard",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                ("part", models.PositiveIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shards",
                        to="training.dataset",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("dataset", "version", "part"), name="one_shard_a_part"
                    )
                ],
            },
        ),
        migrations.RemoveConstraint(model_name="leftout", name="left_out_once_a_version"),
        migrations.AlterField(
            model_name="leftout",
            name="example",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="left_out",
                to="feedback.example",
            ),
        ),
        migrations.AlterField(
            model_name="leftout",
            name="holdout_example",
            field=models.ForeignKey(
                help_text="Which it is like.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="feedback.example",
            ),
        ),
        migrations.AlterField(
            model_name="leftout", name="similarity", field=models.FloatField(null=True)
        ),
        migrations.AddField(
            model_name="leftout",
            name="dataset",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="left_out",
                to="training.dataset",
            ),
        ),
        migrations.AddField(
            model_name="leftout",
            name="reason",
            field=models.CharField(choices=REASONS, default="near_holdout", max_length=20),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="leftout",
            name="since_version",
            field=models.PositiveIntegerField(default=1),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="leftout",
            name="until_version",
            field=models.PositiveIntegerField(null=True),
        ),
    ]
