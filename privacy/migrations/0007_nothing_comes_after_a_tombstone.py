"""The database's part: nothing of an erased person is stored, and who looked stays on record."""

from django.db import migrations

from config.transitions import append_only, guard_status

# It takes a transaction number before it looks, in a snapshot of its own: whoever does not see a
# tombstone that is being committed has a number by which the erasure knows to wait for it.
REFUSE = """
    CREATE FUNCTION emend_refuse(project bigint, people text[], digests bytea[])
    RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM pg_current_xact_id();
        IF EXISTS (
            SELECT FROM privacy_erasurerequest AS e WHERE e.project_id = project
                AND e.subject_digest = ANY(digests) AND (e.tombstone_until > now() OR e.status <> 'done')
        ) OR EXISTS (
            SELECT FROM privacy_datasubject AS s
            LEFT JOIN privacy_consent AS c ON c.subject_id = s.id AND c.purpose = 'collection'
            WHERE s.project_id = project AND s.user_id = ANY(people)
                AND (s.is_anonymous OR NOT c.is_granted)
        ) THEN
            RAISE EXCEPTION 'a person does not let this be stored'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN true;
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [("privacy", "0006_people_who_leave")]
    operations = [
        migrations.RunSQL(
            sql=REFUSE, reverse_sql="DROP FUNCTION emend_refuse(bigint, text[], bytea[])"
        ),
        guard_status(
            "privacy_erasurerequest",
            ["running>done", "running>failed", "failed>running", "done>running"],
        ),
        # The planner's samples of it would outlive it.
        migrations.RunSQL(
            "ALTER TABLE privacy_erasurerequest ALTER COLUMN user_id SET STATISTICS 0",
            "ALTER TABLE privacy_erasurerequest ALTER COLUMN user_id SET STATISTICS -1",
        ),
        append_only("privacy_accessrecord", "privacy_historicalretentionrule"),
    ]
