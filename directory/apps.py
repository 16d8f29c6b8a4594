"""Django's registration of the app."""

from django.apps import AppConfig

from directory.fields import EDITABLE, EDITABLE_COLUMNS


class DirectoryConfig(AppConfig):
    """See the package's docstring."""

    name = "directory"

    def ready(self) -> None:
        """Register contacts, tags and saved audiences for the audit log."""
        from auditlog.registry import auditlog  # noqa: PLC0415 — models must be loaded first

        from directory.models import Contact, SavedAudience, Tag  # noqa: PLC0415

        related = set(EDITABLE) - set(EDITABLE_COLUMNS)
        auditlog.register(Contact, include_fields=list(EDITABLE_COLUMNS), m2m_fields=related)
        auditlog.register(SavedAudience, include_fields=["name", "audience"])
        auditlog.register(Tag, include_fields=["name", "tone"])
