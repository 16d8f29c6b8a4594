"""Django's registration of the app, whose label and tables keep the name `measures`."""

from django.apps import AppConfig


class MeasuresConfig(AppConfig):
    """Has no pages, see `project.observability.prometheus`."""

    name = "project.observability.metrics"
    label = "measures"
