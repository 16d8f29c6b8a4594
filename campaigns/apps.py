"""Django's registration of the app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """See the package's docstring."""

    name = "campaigns"
