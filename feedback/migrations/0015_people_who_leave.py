"""Letters say whose they are; the planner keeps no samples of what people wrote."""

import django.db.models.deletion
from django.db import migrations, models

# Nothing is ever looked for by these, so their samples serve nobody, and would outlive the rows.
CONTENT = {
    "feedback_inference": ["input", "output", "metadata"],
    "feedback": ["original", "corrected", "comment", "metadata", "rejections"],
    "feedback_review": ["corrected", "reason"],
    "feedback_historicalreview": ["reason", "history_change_reason"],
    "feedback_example": ["input", "output", "rejected_output"],
    "feedback_deadletter": ["content"],
}
# What letters name from before: their project is not known.
WHOSE = r"""
    UPDATE feedback_deadletter
    SET user_id = substring(content FROM '"user_id"\s*:\s*"([A-Za-z0-9._:@|+-]{1,128})"')
    WHERE content LIKE '%"user\_id"%'"""


def no_samples(table, column):
    return migrations.RunSQL(
        sql=f"""
        ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0;
        SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited) FROM pg_stats
        WHERE schemaname = current_schema() AND tablename = '{table}' AND attname = '{column}';
        """,  # noqa: S608  of the names above alone
        reverse_sql=f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS DEFAULT",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0014_what_dataset_builds_ask"),
        ("privacy", "0007_nothing_comes_after_a_tombstone"),
    ]
    operations = [
        migrations.AddField(
            model_name="deadletter",
            name="project",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="privacy.project",
            ),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="user_id",
            field=models.CharField(
                editable=False, help_text="Whose act it names, if any.", max_length=128, null=True
            ),
        ),
        migrations.RunSQL(sql=WHOSE, reverse_sql=migrations.RunSQL.noop),
        *(no_samples(table, column) for table, columns in CONTENT.items() for column in columns),
    ]
