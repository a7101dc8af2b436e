from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("privacy", "0009_unfinished_erasures")]
    operations = [
        migrations.RunSQL(
            sql="UPDATE privacy_retentionrule SET days = 30 WHERE kind = 'access_log' AND days < 30",
            reverse_sql=migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="retentionrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "access_log"), _negated=True),
                    ("days__gte", 30),
                    _connector="OR",
                ),
                name="looks_stay_on_record",
            ),
        ),
    ]
