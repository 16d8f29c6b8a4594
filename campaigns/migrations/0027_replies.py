import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Index, Q

from project.core.sql import IndexAlongside


class Migration(migrations.Migration):
    """What incoming messages ask for, and what has answered them."""

    atomic = False
    dependencies = [("campaigns", "0026_exchanges")]

    operations = [
        migrations.AddField("incomingmessage", "processed_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "incomingmessage", "action", models.CharField(blank=True, db_default="", default="", max_length=5)
        ),
        migrations.AddField(
            "incomingmessage",
            "answer",
            models.ForeignKey(
                "campaigns.message",
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
            ),
        ),
        IndexAlongside(
            "incomingmessage", Index(fields=["phone", "received_at", "id"], name="incoming_phone_time")
        ),
        IndexAlongside(
            "incomingmessage", Index(fields=["contact", "received_at", "id"], name="incoming_contact_time")
        ),
        IndexAlongside(
            "incomingmessage", Index(fields=["id"], condition=Q(processed_at=None), name="incoming_unprocessed")
        ),
        IndexAlongside(
            "incomingmessage",
            Index(fields=["phone", "processed_at"], condition=Q(answer__isnull=False), name="incoming_answered"),
        ),
        migrations.AlterField(
            "incomingmessage",
            "contact",
            models.ForeignKey(
                "directory.contact",
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="incoming",
            ),
        ),
    ]
