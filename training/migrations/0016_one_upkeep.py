from django.db import migrations


class Migration(migrations.Migration):
    """When daily work was last done stands in the table of `privacy` alone."""

    dependencies = [("training", "0015_what_erasures_leave")]
    operations = [migrations.DeleteModel(name="Upkeep")]
