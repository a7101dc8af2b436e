"""What a transaction that rewrites history changes, says no more which transaction that was.

Rows that one person's unlinking changed would have its number in common, also with that person.
Such a transaction has the versions that come next built of all rows, so no build misses them.
"""

from django.db import migrations

_TOUCH = """
    CREATE OR REPLACE FUNCTION emend_touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.touched := {number};
        RETURN NEW;
    END $$;"""
_NOW = "pg_current_xact_id()::text::bigint"
_KEPT = f"""
    CASE WHEN current_setting('emend.erasing', true) = 'on' THEN OLD.touched ELSE {_NOW} END"""


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0015_people_who_leave"),
        ("privacy", "0005_what_dataset_builds_ask"),
    ]
    operations = [
        migrations.RunSQL(sql=_TOUCH.format(number=_KEPT), reverse_sql=_TOUCH.format(number=_NOW)),
    ]
