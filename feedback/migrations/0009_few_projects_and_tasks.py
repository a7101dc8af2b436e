from django.db import migrations

# In a young table ANALYZE takes each project for unique; until it looks again, PostgreSQL would
# look for one row among all of a project's.
COLUMNS = [
    ("feedback", "project_id"),
    ("feedback", "task_id"),
    ("feedback_inference", "project_id"),
    ("feedback_inference", "task_id"),
    ("feedback_example", "task_id"),
    ("privacy_datasubject", "project_id"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0008_indexes_that_capture_uses"),
        ("privacy", "0003_indexes_that_others_begin_with"),
    ]
    operations = [
        migrations.RunSQL(
            sql=f"ALTER TABLE {table} ALTER COLUMN {column} SET (n_distinct = 10)",
            reverse_sql=f"ALTER TABLE {table} ALTER COLUMN {column} RESET (n_distinct)",
        )
        for table, column in COLUMNS
    ]
