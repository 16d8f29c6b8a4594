"""Indexes by `listed_status`, leases in a table of their own, and room in each page of messages.

PostgreSQL writes a success beside the row, into no index, if the page has room and no indexed column changes.
"""

from collections import defaultdict
from typing import Any

from django.db import migrations, models
from django.db.models import Case, F, Index, Q, When

_SMOOTH = ("sending", "sent", "delivered")
_RARE = ("undelivered", "failed", "expired", "cancelled", "unknown")
_WAITING = Q(listed_status="pending")
_OLD_INDEXES = ("message_due", "message_leased", "message_retrying", "message_rare")
_NEW_INDEXES = (
    Index(fields=["run", "due_at", "id"], condition=_WAITING, name="message_waiting"),
    Index(fields=["run"], condition=_WAITING & Q(attempts__gt=0), name="message_retried"),
    Index(fields=["run", "listed_status", "id"], condition=Q(listed_status__in=_RARE), name="message_rare_status"),
)


def hand_over(apps: Any, schema_editor: Any) -> None:
    """What is being sent now keeps its lease."""
    held: dict[Any, list[Any]] = defaultdict(list)
    for message in apps.get_model("campaigns", "Message").objects.filter(status="sending"):
        held[message.lease_token].append(message)
    for token, messages in held.items():
        apps.get_model("campaigns", "Lease").objects.create(
            token=token,
            until=max(message.leased_until for message in messages),
            message_ids=[message.pk for message in messages],
        )


def leave_room(apps: Any, schema_editor: Any) -> None:
    """Half of each page, for each row is written once more; a table that is there already keeps its full pages."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE campaigns_message SET (fillfactor = 50)")


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0004_replanning")]
    operations = [
        migrations.CreateModel(
            name="Lease",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("token", models.UUIDField(db_index=True)),
                ("until", models.DateTimeField(db_index=True)),
                ("message_ids", models.JSONField()),
            ],
        ),
        migrations.RunPython(hand_over, migrations.RunPython.noop),
        *(migrations.RemoveIndex("message", name) for name in _OLD_INDEXES),
        migrations.RemoveField("message", "leased_until"),
        migrations.AddField(
            "message",
            "listed_status",
            models.GeneratedField(
                db_persist=True,
                expression=Case(When(status__in=_SMOOTH, then=None), default=F("status")),
                output_field=models.CharField(max_length=11, null=True),
            ),
        ),
        *(migrations.AddIndex("message", index) for index in _NEW_INDEXES),
        migrations.RunPython(leave_room, migrations.RunPython.noop),
    ]
