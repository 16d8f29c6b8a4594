"""The table of metrics of all processes."""

from django.db import models


class Measure(models.Model):
    """One number of one metric. `series` is a JSON list of the name, the label values and the part.

    Without `until` it is a sum that only grows. Otherwise it is a gauge of one process, valid until then.
    """

    series = models.CharField(primary_key=True, max_length=300)
    value = models.FloatField()
    until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.series
