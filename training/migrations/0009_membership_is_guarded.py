from django.db import migrations

# Whoever wrote an example, was answered by it or was shown what nobody reacted to: if one of them
# does not permit training, no version takes it. By statement, so that a million rows cost seconds.
REFUSE = """
    CREATE FUNCTION emend_refuse_opted_out() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE refused bigint;
    BEGIN
        WITH person AS (
            SELECT e.id, t.project_id, p.consent_default = 'granted' AS by_default,
                unnest(ARRAY[f.user_id, i.user_id]) AS user_id
            FROM added AS m JOIN feedback_example AS e ON e.id = m.example_id
            JOIN feedback_task AS t ON t.id = e.task_id
            JOIN privacy_project AS p ON p.id = t.project_id
            LEFT JOIN feedback AS f ON f.number = e.feedback_id
            LEFT JOIN feedback_inference AS i
                ON i.number = coalesce(f.inference_id, e.inference_id)
            WHERE e.feedback_id IS NOT NULL OR e.inference_id IS NOT NULL
        ), word AS (
            SELECT s.project_id, s.user_id, c.is_granted FROM privacy_consent AS c
            JOIN privacy_datasubject AS s ON s.id = c.subject_id WHERE c.purpose = 'training'
        )
        SELECT min(person.id) INTO refused FROM person  -- not LIMIT 1: none at all is the rule
        LEFT JOIN word USING (project_id, user_id)
        WHERE person.user_id IS NOT NULL AND NOT coalesce(word.is_granted, person.by_default);
        IF refused IS NOT NULL THEN
            RAISE EXCEPTION 'example % is of a person who does not permit training', refused
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER refuse_opted_out AFTER INSERT ON training_membership
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT
        EXECUTE FUNCTION emend_refuse_opted_out();
"""
# The record is of intervals: one ends once, and nothing else about it ever changes.
GUARD = """
    CREATE FUNCTION emend_only_end() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.until_version IS NULL AND NEW.until_version IS NOT NULL
            AND to_jsonb(NEW) - 'until_version' = to_jsonb(OLD) - 'until_version' THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'a membership only ends; what else it says stays'
            USING ERRCODE = 'check_violation';
    END $$;
    CREATE TRIGGER only_end BEFORE UPDATE ON training_membership FOR EACH ROW
        EXECUTE FUNCTION emend_only_end();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0008_left_out_by_dataset"),
        ("privacy", "0005_what_dataset_builds_ask"),
    ]
    operations = [
        migrations.RunSQL(
            sql=REFUSE,
            reverse_sql="""
                DROP TRIGGER refuse_opted_out ON training_membership;
                DROP FUNCTION emend_refuse_opted_out();""",
        ),
        migrations.RunSQL(
            sql=GUARD,
            reverse_sql="""
                DROP TRIGGER only_end ON training_membership; DROP FUNCTION emend_only_end();""",
        ),
    ]
