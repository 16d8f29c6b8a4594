"""Django's registration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's docstring."""

    name = "accounts"

    def ready(self) -> None:
        """Connect the sign-in log, and register users for the audit log."""
        from auditlog.registry import auditlog  # noqa: PLC0415 — models must be loaded first

        import accounts.sign_in.sign_in_log  # noqa: F401, PLC0415
        from accounts.models import User  # noqa: PLC0415

        auditlog.register(User, include_fields=["monthly_budget"])
