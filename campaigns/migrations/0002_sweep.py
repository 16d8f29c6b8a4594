"""The sweeper's place in django-q2's schedule: one row, whoever starts how many workers at once."""

from typing import Any

from django.db import migrations


def schedule(apps: Any, schema_editor: Any) -> None:
    apps.get_model("django_q", "Schedule").objects.create(
        name="sweep", func="campaigns.tasks.sweep", schedule_type="I", minutes=1, repeats=-1
    )


def unschedule(apps: Any, schema_editor: Any) -> None:
    apps.get_model("django_q", "Schedule").objects.filter(name="sweep").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0001_initial"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]
    operations = [migrations.RunPython(schedule, unschedule)]
