from django.db import migrations


class Migration(migrations.Migration):
    """New names in the code; the tables keep theirs, so nothing changes in the database."""

    dependencies = [("accounts", "0008_shared_clock")]

    operations = [
        migrations.AlterModelTable("keptanswer", "accounts_keptanswer"),
        migrations.RenameModel("KeptAnswer", "StoredAnswer"),
        migrations.AlterModelTable("usage", "accounts_usage"),
        migrations.RenameModel("Usage", "RequestCount"),
    ]
