import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0009_few_projects_and_tasks"),
        ("privacy", "0003_indexes_that_others_begin_with"),
    ]

    operations = [
        migrations.AddField(
            model_name="inference",
            name="is_sensitive",
            field=models.BooleanField(
                db_default=False, help_text="Personal data or a secret may remain in it."
            ),
        ),
        migrations.AlterField(
            model_name="feedback",
            name="inference",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="feedback",
                to="feedback.inference",
            ),
        ),
        migrations.AddIndex(
            model_name="feedback",
            index=models.Index(fields=["inference", "user_id"], name="feedback_by_inference"),
        ),
    ]
