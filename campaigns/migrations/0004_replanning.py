"""Marks for what `campaign_advance` does to a run's messages. Sweeps are no longer scheduled: watchdogs ask for them."""

from typing import Any

from django.db import migrations, models


def unschedule(apps: Any, schema_editor: Any) -> None:
    apps.get_model("django_q", "Schedule").objects.filter(name="sweep").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0003_direct_messages"),
    ]
    operations = [
        migrations.RunPython(unschedule, migrations.RunPython.noop),
        migrations.AddField(
            model_name="run",
            name="replan_from",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="run",
            name="retry_before",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
