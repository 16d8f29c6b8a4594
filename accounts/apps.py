"""Django's registration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's docstring."""

    name = "accounts"

    def ready(self) -> None:
        """Connect the sign-in log."""
        import accounts.sign_in.sign_in_log  # noqa: F401, PLC0415
