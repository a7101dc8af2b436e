from django.db import migrations

FORWARD = """
    UPDATE training_membership AS m SET split = e.split FROM feedback_example AS e
        WHERE e.id = m.example_id;
    UPDATE training_datasets SET current_state = hash_state;
    UPDATE training_leftout AS l SET dataset_id = v.dataset_id, since_version = v.version,
        until_version = v.version + 1 FROM training_datasets AS v WHERE v.id = l.version_id;
"""


class Migration(migrations.Migration):
    dependencies = [("training", "0006_versions_by_what_changed")]
    operations = [migrations.RunSQL(sql=FORWARD, reverse_sql=migrations.RunSQL.noop)]
