"""Model fields that follow the shared clock."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models

from project.core.clock import now

if TYPE_CHECKING:
    _DateTimeField = models.DateTimeField[Any, datetime]
else:
    _DateTimeField = models.DateTimeField


class ClockField(_DateTimeField):
    """A time that saving sets by `project.core.clock`: with `auto_now` always, with `auto_now_add` on creation.

    Migrations see a `DateTimeField`, because the column is the same.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return the value to store, and set it on the instance."""
        if not (self.auto_now or (self.auto_now_add and add)):
            return super().pre_save(model_instance, add)
        moment = now()
        setattr(model_instance, self.attname, moment)
        return moment

    def deconstruct(self) -> Any:
        """Return the parent's description."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs
