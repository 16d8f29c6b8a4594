"""What becomes of due messages: leased with a payload and a deadline, postponed to the next window, or ended."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast

from django.db.models import Value

from campaigns.gateways.coverage import Coverage, coverage_of
from campaigns.gateways.routing import Route
from campaigns.messages.replies import permitted_answers
from campaigns.models import Campaign, Run
from campaigns.planning import recurrence
from campaigns.planning.recipients import included, known_zones
from campaigns.sending.budgets import Budgets
from campaigns.sending.sql import once
from campaigns.states import NOT_RECIPIENT, MessageStatus
from campaigns.text import CONTACT_FIELDS, measure, placeholders, render, value_of, values_of
from directory.audiences.audience import Audience
from directory.models import Contact
from directory.phones import country
from directory.suppression.services import blocked_phones
from project.core.sql import fetch, id_list, is_among

# A request that starts later would reach the gateway after the deadline.
NETWORK_DELAY_SECONDS = 0.1


class Due(NamedTuple):
    """A due message. Its payload is empty until the first attempt. `gateway_id` is the gateway that had it last."""

    id: int
    run_id: int
    contact_id: int | None
    attempts: int
    phone: int | None
    text: str
    parts: int
    gateway_id: str | None
    sender: str | None


class Recipient(NamedTuple):
    """The recipient of a message. `attributes` is JSON, and is read only if a text uses attributes."""

    phone: int
    first_name: str
    last_name: str
    timezone: str
    attributes: str = "{}"


class Leased(NamedTuple):
    """A message that a worker holds: its frozen payload, and the moment before which it must be sent."""

    id: int
    run_id: int
    campaign_id: int
    contact_id: int | None
    phone: int
    text: str
    parts: int
    attempts: int
    send_before: float
    """Seconds since the epoch, by the database's clock."""
    leased_at: float
    """When the lease began to read, by the monotonic clock of the worker that holds it."""
    cost: int | None = None
    """The price of all parts in micros; None if it is not known."""
    sender: str = ""
    """The sender name; empty: none."""


@dataclass(slots=True)
class Decisions:
    """What becomes of the due messages of some runs."""

    moment: datetime
    leased_at: float
    route: Route
    budgets: Budgets
    leased: list[Leased] = field(default_factory=list)
    postponed: dict[datetime, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Ids of messages by their new due time."""
    rerouted: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Ids of messages whose gateway does not take their number, by the gateway that does."""
    ended: dict[tuple[MessageStatus, str], dict[int, list[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    """Ids of messages by status and reason, then by run id."""
    _coverages: dict[str | None, Coverage] = field(default_factory=dict)

    def add(self, run: Run, rows: Sequence[Due], by_message: Mapping[int, Recipient]) -> None:
        """Decide about due messages of one run, whose recipients are known by message id."""
        names = sorted(placeholders(run.campaign.text))
        zones = {by_message[row.id].timezone for row in rows if row.id in by_message}
        deadlines, openings = self._deadlines(run, zones)
        for row in rows:
            if run.campaign_id in self.budgets.reached:
                return
            recipient = by_message.get(row.id)
            if recipient is None:
                self._end(row, MessageStatus.CANCELLED, NOT_RECIPIENT)
            elif recipient.timezone in openings:
                self.postponed[openings[recipient.timezone]].append(row.id)
            elif recipient.timezone not in deadlines:
                self._end(row, MessageStatus.FAILED, "unknown_zone")
            else:
                deadline = deadlines[recipient.timezone]
                self._lease(run.campaign, row, recipient, names, deadline, routed=run.routed)

    def _lease(
        self, campaign: Campaign, row: Due, recipient: Recipient, names: list[str], deadline: float, *, routed: bool
    ) -> None:
        """Lease a message with its payload: as frozen, or rendered if this is the first attempt."""
        phone, text, parts = row.phone, row.text, row.parts
        if phone is None:
            phone, (text, parts) = recipient.phone, _payload(campaign.text, _values(recipient, names))
        if not text.strip():
            self._end(row, MessageStatus.FAILED, "empty_text")
        elif routed and not self.route.takes(phone):
            self._reroute(campaign, row, phone)
        elif self.route.max_parts is not None and parts > self.route.max_parts:
            self._end(row, MessageStatus.FAILED, "too_many_parts")
        else:
            price = self.route.price_of(phone)
            cost = None if price is None else price * parts
            if self.budgets.take(campaign.pk, cost or 0):
                owners = (row.id, row.run_id, campaign.pk, row.contact_id)
                times = (deadline, self.leased_at)
                sender = self._sender(campaign, row, phone)
                self.leased.append(Leased(*owners, phone, text, parts, row.attempts + 1, *times, cost, sender))

    def _sender(self, campaign: Campaign, row: Due, phone: int) -> str:
        """The sender name: as frozen if this gateway had the message last, or else what it allows for the phone."""
        if row.phone is not None and row.gateway_id == self.route.gateway:
            return row.sender or ""
        wanted = row.sender if campaign.transactional else campaign.sender
        return self.route.sender_of(phone, wanted or "")

    def _reroute(self, campaign: Campaign, row: Due, phone: int) -> None:
        """Leave the message to the gateway that carries its number; it fails if none does."""
        if campaign.gateway_id not in self._coverages:
            self._coverages[campaign.gateway_id] = coverage_of(campaign.gateway_id)
        gateway = self._coverages[campaign.gateway_id].gateway_of(phone, country(phone))
        if gateway is None:
            self._end(row, MessageStatus.FAILED, "no_gateway")
        else:
            self.rerouted[gateway].append(row.id)

    def _end(self, row: Due, status: MessageStatus, reason: str) -> None:
        self.ended[status, reason][row.run_id].append(row.id)

    def _deadlines(self, run: Run, zones: set[str]) -> tuple[dict[str, float], dict[str, datetime]]:
        """By zone: the moment before which to send (the end of run or window), or when the closed window opens.

        A zone that does not exist has neither.
        """
        window = run.campaign.hours
        if window is None:
            return dict.fromkeys(zones, run.deadline.timestamp() - NETWORK_DELAY_SECONDS), {}
        deadlines, openings = {}, {}
        for zone in known_zones(run.campaign, zones):
            if recurrence.is_open(window, self.moment, zone):
                closing = min(run.deadline, recurrence.next_closing(window, self.moment, zone))
                deadlines[zone] = closing.timestamp() - NETWORK_DELAY_SECONDS
            else:
                openings[zone] = recurrence.next_opening(window, self.moment, zone)
        return deadlines, openings


def recipients_of(runs: Mapping[int, Run], rows: Sequence[Due]) -> dict[int, Recipient]:
    """The recipients that may still get their message, by message id.

    For a transactional message, or a phone that the contact no longer has, it is also checked that the phone is not
    blocked. Only the answer to a keyword may be sent to a phone that has opted out by that keyword.
    """
    found = _matching(runs, [row for row in rows if row.contact_id is not None])
    by_message: dict[int, Recipient] = {}
    foreign: dict[int, int] = {}
    for row in rows:
        if row.contact_id is None:
            phone = foreign[row.id] = cast("int", row.phone)
            by_message[row.id] = Recipient(phone, "", "", runs[row.run_id].campaign.timezone)
        elif (recipient := found[row.run_id].get(row.contact_id)) is not None:
            by_message[row.id] = recipient
            if row.phone and row.phone != recipient.phone:
                foreign[row.id] = row.phone
    numbers = blocked_phones(foreign.values()) if foreign else set()
    blocked = {pk: phone for pk, phone in foreign.items() if phone in numbers}
    for pk in blocked.keys() - (permitted_answers(blocked) if blocked else set()):
        del by_message[pk]
    return by_message


def _matching(runs: Mapping[int, Run], rows: Sequence[Due]) -> dict[int, dict[int, Recipient]]:
    """The contacts of these messages that their run's audience still includes, by run id and contact id.

    One query for all runs. In a join with the messages PostgreSQL would read the whole directory.
    """
    if not rows:
        return {}
    audiences = {run_id: runs[run_id].campaign.audience_filter for run_id in {row.run_id for row in rows}}
    ordered = list(dict.fromkeys(audiences.values()))
    numbers = {run_id: ordered.index(audience) for run_id, audience in audiences.items()}
    ids: list[set[int]] = [set() for _ in ordered]
    for row in rows:
        ids[numbers[row.run_id]].add(cast("int", row.contact_id))
    plain = all(placeholders(runs[run_id].campaign.text) <= CONTACT_FIELDS for run_id in audiences)
    columns = Recipient._fields[:-1] if plain else Recipient._fields
    selects = [_select(audience, columns) for audience in ordered]
    query = " UNION ALL ".join(select for select, _ in selects)
    parameters = [(number, *fixed, id_list(ids[number])) for number, (_, fixed) in enumerate(selects)]
    found: list[dict[int, Recipient]] = [{} for _ in ordered]
    values = [value for row in parameters for value in row]
    if len(ordered) > 1:
        query, values = once(Contact, set().union(*ids), query, values)
    for number, pk, *columns_read in fetch(query, values):
        found[number][pk] = Recipient(*columns_read)
    return {run_id: found[number] for run_id, number in numbers.items()}


def _select(audience: Audience, columns: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    """A SELECT of those among some contacts whom the audience includes, and its parameters but the first and last.

    The first parameter is a number that comes back in each row, the last an `id_list`.
    """
    return _fixed_select(audience, columns) if audience.last_contacted is None else _build(audience, columns)


def _build(audience: Audience, columns: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    contacts = included(audience, among_few=True).not_suppressed().order_by().filter(is_among("id", []))
    select, parameters = contacts.values_list(Value(0), "pk", *columns).query.sql_with_params()
    return select, parameters[1:-1]


_fixed_select = lru_cache(maxsize=1000)(_build)
"""It takes 3 ms to build one, and nothing that it depends on changes, unless it asks for the last contact."""


def _values(recipient: Recipient, names: list[str]) -> tuple[object, ...]:
    """The values of these placeholders for this recipient."""
    if CONTACT_FIELDS.issuperset(names):
        return tuple([getattr(recipient, name) for name in names])
    phone, first_name, last_name, _, attributes = recipient
    known = values_of(first_name=first_name, last_name=last_name, phone=phone, attributes=json.loads(attributes))
    return tuple([value_of(known, name) for name in names])


@lru_cache(maxsize=10_000)  # many recipients share a first name, so texts repeat
def _payload(template: str, values: tuple[object, ...]) -> tuple[str, int]:
    """The rendered text and its parts; `values` are in the order of the sorted placeholder names."""
    text = render(template, dict(zip(sorted(placeholders(template)), values, strict=True)))
    return text, measure(text).parts
