import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0007_what_capture_knows"),
        ("privacy", "0003_indexes_that_others_begin_with"),
    ]
    operations = [
        migrations.RemoveIndex(
            model_name="feedback",
            name="feedback_by_input",
        ),
        migrations.AlterField(
            model_name="example",
            name="task",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="examples",
                to="feedback.task",
            ),
        ),
        migrations.AlterField(
            model_name="feedback",
            name="api_key",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="privacy.apikey",
            ),
        ),
        migrations.AlterField(
            model_name="feedback",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="privacy.project",
            ),
        ),
        migrations.AlterField(
            model_name="feedback",
            name="task",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="feedback.task",
            ),
        ),
        migrations.AlterField(
            model_name="inference",
            name="api_key",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="privacy.apikey",
            ),
        ),
        migrations.AlterField(
            model_name="inference",
            name="parent",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="feedback.inference",
            ),
        ),
        migrations.AlterField(
            model_name="inference",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="privacy.project",
            ),
        ),
        migrations.AlterField(
            model_name="inference",
            name="task",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="feedback.task",
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tasks",
                to="privacy.project",
            ),
        ),
        migrations.AddIndex(
            model_name="example",
            index=models.Index(
                condition=models.Q(("case", "golden"), ("superseded_at", None)),
                fields=["task", "input_hash"],
                name="example_golden",
            ),
        ),
        migrations.AddIndex(
            model_name="feedback",
            index=models.Index(
                fields=["task", "input_hash", "corrected_hash"], name="feedback_by_input"
            ),
        ),
        migrations.AddIndex(
            model_name="inference",
            index=models.Index(fields=["task", "input_hash", "user_id"], name="inference_by_input"),
        ),
        migrations.AddIndex(
            model_name="inference",
            index=models.Index(
                condition=models.Q(("parent__isnull", False)),
                fields=["parent"],
                name="inference_by_parent",
            ),
        ),
    ]
