"""The app `measures`."""

from django.apps import AppConfig


class MeasuresConfig(AppConfig):
    """Has no pages: see `project.metrics`."""

    name = "measures"
