from django.db import migrations, models
from django.db.models.functions import Lower


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0013_ended_at")]
    operations = [
        migrations.AddIndex("campaign", models.Index(fields=["starts_at", "id"], name="campaign_start")),
        migrations.AddIndex("campaign", models.Index(Lower("name"), models.F("id"), name="campaign_name")),
    ]
