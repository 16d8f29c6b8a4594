"""Where the meters of all processes are added up."""

from django.db import models


class Measure(models.Model):
    """One number of one meter: `series` is a JSON list of the meter's name, its labels' values, and which part it is.

    Without `until` it is a sum that only grows. Else it is what one process says of itself, true until then.
    """

    series = models.CharField(primary_key=True, max_length=300)
    value = models.FloatField()
    until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.series
