from django.db import migrations, models

from config.database import CURRENT_TRANSACTION
from config.transitions import touch_on_change


class Migration(migrations.Migration):
    dependencies = [("privacy", "0004_identity_and_limits")]
    operations = [
        migrations.AddField(
            model_name="consent",
            name="touched",
            field=models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False),
        ),
        migrations.AddIndex(
            model_name="consent",
            index=models.Index(fields=["touched"], name="consent_by_touch"),
        ),
        touch_on_change("privacy_consent", "subject_id", "purpose", "is_granted"),
    ]
