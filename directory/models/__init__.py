"""Models of the directory, one file per subject."""

from directory.imports.models import Import
from directory.models.bulk_action import BulkAction, BulkActionType
from directory.models.contact import NOT_DERIVED, Contact, likely_timezone
from directory.models.contact_query import ContactFilters, ContactQuerySet
from directory.models.last_contacted import LastContacted
from directory.models.saved_audience import SavedAudience
from directory.models.suppression import Source, Suppression
from directory.models.tag import Tag, Tagging, Tone

__all__ = [
    "NOT_DERIVED",
    "BulkAction",
    "BulkActionType",
    "Contact",
    "ContactFilters",
    "ContactQuerySet",
    "Import",
    "LastContacted",
    "SavedAudience",
    "Source",
    "Suppression",
    "Tag",
    "Tagging",
    "Tone",
    "likely_timezone",
]
