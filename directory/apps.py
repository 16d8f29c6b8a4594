"""Django's registration of the app."""

from django.apps import AppConfig


class DirectoryConfig(AppConfig):
    """See the package's docstring."""

    name = "directory"

    def ready(self) -> None:
        """Have what people do to contacts recorded."""
        from auditlog.registry import auditlog  # noqa: PLC0415 — models must be loaded first

        from directory.models import Contact  # noqa: PLC0415

        facts = ["phone", "first_name", "last_name", "timezone", "attributes", "is_active", "opted_out"]
        auditlog.register(Contact, include_fields=facts, m2m_fields={"tags"})
