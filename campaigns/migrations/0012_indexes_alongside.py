"""What 0008 and 0011 ask of messages by, built while they are sent; and a name for people."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Index, Q

from project.core.sql import IndexAlongside

_WAITING = Q(listed_status="pending")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("campaigns", "0011_several_gateways")]
    operations = [
        migrations.AlterField(
            "gateway",
            "fallback",
            models.ForeignKey(
                "campaigns.gateway",
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                verbose_name="fallback",
            ),
        ),
        IndexAlongside(
            "message", Index(fields=["run", "id"], condition=_WAITING & Q(attempts__gt=0), name="message_again")
        ),
        IndexAlongside(
            "message",
            Index(
                fields=["run", "gateway", "due_at"],
                condition=_WAITING & Q(gateway__isnull=False),
                name="message_returned",
            ),
        ),
    ]
