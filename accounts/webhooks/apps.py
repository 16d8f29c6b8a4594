"""Django's registration of the app."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """See the package's docstring."""

    name = "accounts.webhooks"
