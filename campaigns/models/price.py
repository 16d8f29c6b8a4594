"""Prices of gateways, and what runs have cost."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.run import Run
from project.core.money import MoneyField


class Price(models.Model):
    """What a gateway charges for one part of a message to an area, from a day on (in the installation's time zone).

    See `campaigns.gateways.areas` for areas; an empty one is everywhere else.
    """

    gateway = models.CharField(_("gateway"), max_length=40)
    area = models.CharField(_("country or prefix"), max_length=15, blank=True)
    valid_from = models.DateField(_("valid from"))
    price = MoneyField(_("price per part"))

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [models.UniqueConstraint(fields=["gateway", "area", "valid_from"], name="price_once")]

    def __str__(self) -> str:
        return f"{self.gateway} · {self.area} · {self.valid_from}"


class RunCost(models.Model):
    """What a run has cost in one hour (UTC) by gateway and country: messages with a price, their parts, and micros.

    They add up to the run's `cost`.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="costs", db_index=False)
    hour = models.DateTimeField(db_index=True)
    gateway = models.CharField(max_length=40)
    country = models.CharField(max_length=2)
    messages = models.IntegerField(default=0)
    parts = models.IntegerField(default=0)
    cost = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "hour", "gateway", "country"], name="run_cost")]

    def __str__(self) -> str:
        return f"{self.run_id} · {self.hour:%d %H} · {self.gateway} · {self.country}"
