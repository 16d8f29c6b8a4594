"""Django's registration of the app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """See the package's docstring."""

    name = "campaigns"

    def ready(self) -> None:
        """Register the system checks."""
        from campaigns import checks  # noqa: F401, PLC0415 — models must be loaded first
