"""Replies: what incoming messages ask for by a keyword. Workers apply them in batches, in the order of their ids.

Everything that follows from a message is written in the transaction that marks it as processed, so a repeat has no
effect. A stop word puts the phone on the suppression list, a start word takes it off if a reply put it there, and a
help word gets the help text. What is leased already is checked again before it is sent, as after every opt-out.

A change is confirmed to the phone by one message in 24 hours at most. So two robots can't answer each other for ever.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import User
from campaigns.gateways import registry
from campaigns.messages.keywords import Action, Keyword
from campaigns.messages.transactional import Answer, answers_send
from campaigns.models import IncomingMessage
from directory.models import Contact, Source, Suppression
from directory.suppression.services import release_by_reply, suppress, unanswerable_phones
from project.core.clock import now
from project.core.sql import execute, is_among, table, table_rows

log = structlog.get_logger("vestnik.campaigns")

_TABLE: Final = IncomingMessage._meta.db_table
_DECIDED: Final = ("id", "action", "answer_id")
_BATCH: Final = 2000
_MAX_SECONDS: Final = 2.0
# One answer in this time, and none to what came before it.
_ANSWER_INTERVAL: Final = timedelta(hours=24)


class _Reply(NamedTuple):
    """An incoming message with a keyword. `changed`: it has changed the list, or asks for help."""

    row: IncomingMessage
    phone: int
    keyword: Keyword
    changed: bool


def replies_apply() -> bool:
    """Apply waiting messages for a limited time; return whether there may be more."""
    deadline = time.monotonic() + _MAX_SECONDS
    while _apply_batch():
        if time.monotonic() > deadline:
            return True
    return False


def replies_waiting() -> bool:
    """Whether a message waits to be processed."""
    return IncomingMessage.objects.unprocessed().exists()


@transaction.atomic
def _apply_batch() -> bool:
    """Apply a batch of messages; return whether there was one."""
    columns = ("phone", "text", "gateway", "recipient", "received_at")
    waiting = list(IncomingMessage.objects.unprocessed().order_by("pk").only(*columns)[:_BATCH])
    found = {row.pk: keyword for row in waiting if row.phone and (keyword := settings.KEYWORDS.find(row.text))}
    numbers = {row.phone for row in waiting if row.phone and row.pk in found}
    rows = _lock(waiting, numbers)
    sources = dict(Suppression.objects.filter(is_among("phone", numbers)).values_list("phone", "source"))
    after = dict(sources)
    replies = _decide(rows, found, after)
    suppress(after.keys() - sources.keys(), by=None, source=Source.REPLY)
    release_by_reply(sources.keys() - after.keys())
    answers = _answer(replies)
    actions = {reply.row.pk: reply.keyword.action.value for reply in replies}
    _mark([(row.pk, actions.get(row.pk, ""), answers.get(row.pk)) for row in rows])
    return bool(waiting)


def _lock(waiting: Collection[IncomingMessage], numbers: Collection[int]) -> list[IncomingMessage]:
    """Return those of the messages that nobody has processed meanwhile, locked.

    Their contacts are locked first, as an erasure does. Batches follow each other, because each begins with the first
    message that waits.
    """
    contacts = Contact.objects.filter(is_among("phone", numbers)).order_by("pk")
    list(contacts.select_for_update(no_key=True).values_list("pk", flat=True))
    locked = IncomingMessage.objects.unprocessed().filter(pk__in=[row.pk for row in waiting]).order_by("pk")
    ids = set(locked.select_for_update().values_list("pk", flat=True))
    return [row for row in waiting if row.pk in ids]


def _mark(rows: Collection[tuple[int, str, int | None]]) -> None:
    """Mark messages as processed, each with its action and answer, in one statement."""
    if rows:
        execute(
            f"WITH {table(IncomingMessage, 'decided', _DECIDED)} UPDATE {_TABLE} SET processed_at = %s, "  # noqa: S608
            "action = decided.action, answer_id = decided.answer_id "
            f"FROM decided WHERE {_TABLE}.id = decided.id",
            [*table_rows(rows), connection.ops.adapt_datetimefield_value(now())],
        )


def _decide(
    rows: Collection[IncomingMessage], keywords: Mapping[int, Keyword], sources: dict[int, str]
) -> list[_Reply]:
    """Return what the messages ask for. Changes `sources`: how each phone came onto the suppression list."""
    replies = []
    for row in rows:
        keyword, phone = keywords.get(row.pk), row.phone
        by_reply = phone is not None and sources.get(phone) == Source.REPLY
        if keyword is None or phone is None or (keyword.after_stop and not by_reply):
            continue
        changed = True
        if keyword.action == Action.STOP:
            changed = phone not in sources
            sources.setdefault(phone, Source.REPLY.value)
        elif keyword.action == Action.START:
            changed = by_reply
            if by_reply:
                del sources[phone]
        replies.append(_Reply(row, phone, keyword, changed))
    return replies


def _answer(replies: Collection[_Reply]) -> dict[int, int]:
    """Send the answers; return the ids of the messages by that of the incoming message."""
    chosen = _to_answer(replies)
    owner = User.objects.filter(is_staff=True, is_active=True).order_by("pk").first() if chosen else None
    if owner is None:
        return {}
    by_gateway: dict[str, dict[int, _Reply]] = defaultdict(dict)
    for reply in chosen:
        by_gateway[reply.row.gateway][reply.phone] = reply
    answers: dict[int, int] = {}
    for name, by_phone in sorted(by_gateway.items()):
        texts = {phone: Answer(_text(reply.keyword), reply.row.recipient) for phone, reply in by_phone.items()}
        try:
            sent = answers_send(owner=owner, answers=texts, gateway=registry.gateway_by_name(name))
        except ValidationError:
            log.warning("replies not answered", gateway=name, number=len(texts))
        else:
            answers |= {by_phone[phone].row.pk: message for phone, message in sent.items()}
    return answers


def _to_answer(replies: Collection[_Reply]) -> list[_Reply]:
    """Return at most one reply of each phone: the last change if there is one, else a request for help."""
    since, chosen = now() - _ANSWER_INTERVAL, dict[int, _Reply]()
    for reply in replies:
        recent = reply.row.received_at > since and reply.changed and _text(reply.keyword)
        if recent and (reply.phone not in chosen or reply.keyword.action != Action.HELP):
            chosen[reply.phone] = reply
    answered = IncomingMessage.objects.filter(phone__in=chosen, answer__isnull=False, processed_at__gt=since)
    lately = set(answered.values_list("phone", flat=True)) if chosen else set()
    return [reply for phone, reply in chosen.items() if phone not in lately]


def _text(keyword: Keyword) -> str:
    """Return the text that answers a keyword; empty: none."""
    text: str = getattr(settings, f"{keyword.action.name}_TEXT{'_RU' if keyword.cyrillic else ''}")
    return text


def permitted_answers(messages: Mapping[int, int]) -> set[int]:
    """Return those of these messages to blocked phones (ids with phones) that may be sent nevertheless.

    These are answers to keywords, unless the phone is blocked for another reason than a reply.
    """
    found = IncomingMessage.objects.filter(is_among("phone", messages.values()), answer__in=messages)
    answers = set(found.values_list("answer_id", flat=True))
    blocked = unanswerable_phones(messages[pk] for pk in answers) if answers else set()
    return {pk for pk in answers if messages[pk] not in blocked}
