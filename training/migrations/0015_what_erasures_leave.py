import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# What is in a version stays there: only an erasure takes it out again. While a version is built its
# own rows may still go.
GUARD = """
    CREATE FUNCTION emend_keep_members() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('emend.erasing', true) = 'on' OR NOT EXISTS (
            SELECT FROM training_datasets AS v WHERE v.dataset_id = OLD.dataset_id
            AND v.version = OLD.since_version AND v.status = 'ready') THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'what is in a version stays: only an erasure deletes memberships'
            USING ERRCODE = 'integrity_constraint_violation';
    END $$;
    CREATE TRIGGER keep_members BEFORE DELETE ON training_membership FOR EACH ROW
        EXECUTE FUNCTION emend_keep_members();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0014_the_few_who_refuse"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="withdrawn_at",
            field=models.DateTimeField(
                help_text="It had learned from an erased person: its file is gone.", null=True
            ),
        ),
        migrations.CreateModel(
            name="Archive",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("part", models.PositiveIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                (
                    "subjects",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        default=list,
                        help_text="Keyed hashes of who stands in it: tables may have forgotten by now.",
                        size=None,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "dataset_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="archives",
                        to="training.datasetversion",
                    ),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="archives",
                        to="training.modelversion",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("model_version", "part"), name="one_archive_a_part"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ModelErasure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("erasure", models.UUIDField()),
                (
                    "fate",
                    models.CharField(
                        choices=[
                            ("pending", "not decided yet"),
                            ("replaced", "an exact retrain without that person took its place"),
                            ("removed", "it served nobody, and was removed"),
                            (
                                "withdrawn",
                                "what is left cannot train a model, so nothing took its place",
                            ),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                (
                    "decision",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="What people decided about it, and why.",
                        max_length=500,
                    ),
                ),
                ("decided_by", models.CharField(default="", max_length=150)),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erasures",
                        to="training.modelversion",
                    ),
                ),
                (
                    "replacement",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.modelversion",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        help_text="The exact retrain.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replacing",
                        to="training.run",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["erasure"], name="model_by_erasure")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("model_version", "erasure"), name="one_erasure_a_model"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="VersionErasure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("erasure", models.UUIDField()),
                (
                    "rows",
                    models.PositiveIntegerField(help_text="Examples, exact twins of others' too."),
                ),
                ("splits", models.JSONField(default=dict, help_text="The same by side.")),
                ("current_hash", models.CharField(max_length=64)),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "dataset_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erasures",
                        to="training.datasetversion",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["erasure"], name="version_by_erasure")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("dataset_version", "erasure"), name="one_erasure_a_version"
                    )
                ],
            },
        ),
        migrations.RunSQL(
            sql=GUARD,
            reverse_sql="""
                DROP TRIGGER keep_members ON training_membership;
                DROP FUNCTION emend_keep_members();""",
        ),
    ]
