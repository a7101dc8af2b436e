from django.db import migrations

from config.transitions import append_only


class Migration(migrations.Migration):
    dependencies = [("privacy", "0001_initial")]
    operations = [append_only("privacy_historicalproject", "privacy_historicalconsent")]
