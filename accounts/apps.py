"""Django's registration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's docstring."""

    name = "accounts"

    def ready(self) -> None:
        """Note sign-ins."""
        import accounts.signins  # noqa: F401, PLC0415
