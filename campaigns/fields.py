"""The fields of a campaign that users set, declared once.

Services, form, copies, history, fingerprint and data export take the fields from here. The JSON schemas are written out
for their types; a test compares them with this list.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from campaigns.states import CampaignStatus

_DRAFT, _SCHEDULED = CampaignStatus.DRAFT, CampaignStatus.SCHEDULED
_RUNNING, _PAUSED = CampaignStatus.RUNNING, CampaignStatus.PAUSED
_UNTIL_THE_START: Final = frozenset({_DRAFT, _SCHEDULED})
_WHILE_NOTHING_IS_SENT: Final = _UNTIL_THE_START | {_PAUSED}
_UNTIL_THE_END: Final = _WHILE_NOTHING_IS_SENT | {_RUNNING}


class CampaignField(NamedTuple):
    """One field. `columns` and `inputs` are its names in the model and in the form, where they differ from `name`."""

    name: str
    label: Promise
    """Its name in a sentence."""
    changeable: frozenset[CampaignStatus]
    """The states in which it may be changed."""
    columns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    identifies: bool = False
    """Whether it is part of the fingerprint, by which duplicates are refused."""
    copied: bool = True
    """Whether a copy of the campaign has the same value; otherwise the copy gets a value of its own."""


_WINDOW: Final = ("window_start", "window_end")

FIELDS: Final = (
    CampaignField("name", _("name"), _UNTIL_THE_END, copied=False),
    CampaignField("text", _("text"), _WHILE_NOTHING_IS_SENT, identifies=True),
    CampaignField("audience", _("audience"), _WHILE_NOTHING_IS_SENT, identifies=True),
    CampaignField("starts_at", _("start time"), _UNTIL_THE_START, inputs=("start", "starts_at"), copied=False),
    CampaignField("ends_at", _("end time"), _UNTIL_THE_END, copied=False),
    CampaignField("local_time", _("use of local time"), _UNTIL_THE_START),
    CampaignField("window", _("sending hours"), _UNTIL_THE_END, columns=_WINDOW, inputs=_WINDOW),
    CampaignField("repeat", _("repetition"), _UNTIL_THE_START, identifies=True),
    CampaignField("rate_limit", _("speed limit"), _UNTIL_THE_END),
    CampaignField("gateway", _("gateway"), _UNTIL_THE_START),
    CampaignField("sender", _("sender name"), _UNTIL_THE_START),
    CampaignField("budget", _("budget"), _UNTIL_THE_END),
)


COLUMNS: Final = tuple(column for field in FIELDS for column in field.columns or (field.name,))
"""The columns of all fields."""


def changeable_in(status: str) -> frozenset[str]:
    """The names of the fields that may be changed in that state."""
    return frozenset(field.name for field in FIELDS if status in field.changeable)


def labels_of(names: Collection[str]) -> str:
    """The labels of these fields, separated by commas."""
    return ", ".join(str(field.label) for field in FIELDS if field.name in names)
