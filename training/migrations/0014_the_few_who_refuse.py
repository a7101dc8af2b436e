"""Where consent is granted unless withdrawn, few refuse: look at their examples, not at all."""

from django.db import migrations

GENERAL = """
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
        WHERE person.user_id IS NOT NULL AND NOT coalesce(word.is_granted, person.by_default);"""
# In a FILTER the subquery is hashed, whatever the planner thinks of how many refuse.
BY_WORD = """
        WITH person AS (
            SELECT s.project_id, s.user_id FROM privacy_consent AS c
            JOIN privacy_datasubject AS s ON s.id = c.subject_id
            WHERE c.purpose = 'training' AND NOT c.is_granted
        ), answer AS (
            SELECT i.number FROM person JOIN feedback_task AS t USING (project_id)
            JOIN feedback_inference AS i ON i.task_id = t.id AND i.user_id = person.user_id
        ), act AS (
            SELECT f.number FROM person JOIN feedback AS f USING (project_id, user_id)
            UNION ALL SELECT f.number FROM answer JOIN feedback AS f
                ON f.inference_id = answer.number
        )
        SELECT min(m.example_id) FILTER (WHERE m.example_id IN (
            SELECT e.id FROM act JOIN feedback_example AS e ON e.feedback_id = act.number
            UNION ALL SELECT e.id FROM answer JOIN feedback_example AS e
                ON e.inference_id = answer.number
        )) INTO refused FROM added AS m;"""
FUNCTION = """
    CREATE OR REPLACE FUNCTION emend_refuse_opted_out() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE refused bigint;
    BEGIN
        {look}
        IF refused IS NOT NULL THEN
            RAISE EXCEPTION 'example % is of a person who does not permit training', refused
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$"""
BY_DEFAULT = f"""
        IF EXISTS (SELECT FROM privacy_project WHERE consent_default <> 'granted') THEN {GENERAL}
        ELSE {BY_WORD}
        END IF;"""


class Migration(migrations.Migration):
    dependencies = [("training", "0013_compared_or_not")]
    operations = [
        migrations.RunSQL(
            sql=FUNCTION.format(look=BY_DEFAULT), reverse_sql=FUNCTION.format(look=GENERAL)
        )
    ]
