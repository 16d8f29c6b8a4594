"""What an answer means by the rules of a description."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from campaigns.gateways.definitions.paths import Path, Unreadable, read, text_at, text_of, texts_at
from campaigns.gateways.definitions.schema import AnswerTable, Condition, Rule
from campaigns.gateways.protocol import (
    RETRY_AFTER_MAX,
    RETRY_AFTER_MIN,
    Answer,
    Outcome,
    Verdict,
    code_of,
    outcome_by_status,
    reported_price,
    unconfirmed,
)

_HOLD_SECONDS: Final = 60.0
_PAYMENT_REQUIRED: Final = 402
_MAX_IDS: Final = 255
MAX_ID_LENGTH: Final = 100
"""Characters of a provider's id that are stored."""

NOTHING: Final = object()
"""The structure of a body that can't be read: no path leads anywhere, and none is missing."""


def outcome_of(table: AnswerTable, answer: Answer) -> Outcome:
    """Return the meaning of an answer."""
    if answer.failure is not None:
        return outcome_by_status(answer) or unconfirmed("not_accepted")
    data = _structure(table, answer.body)
    rule = _rule(table, answer, data)
    if rule is None and answer.status == _PAYMENT_REQUIRED:
        return Outcome(Verdict.UNAUTHORISED, "no_money")
    if rule is None:
        return outcome_by_status(answer) or unconfirmed("unreadable" if data is NOTHING else "not_accepted")
    error = text_at(table.error, data)
    reason = rule.reason or (code_of(f"error_{error}") if error else "")
    return _outcome(rule, reason, answer, data, table)


def rule_of(table: AnswerTable, answer: Answer) -> Rule | None:
    """Return the rule that says what an answer means; None: its status does."""
    return None if answer.failure is not None else _rule(table, answer, _structure(table, answer.body))


def value_in(table: AnswerTable, path: Path | None, answer: Answer) -> str:
    """Return the first value at a path in an answer; an empty string if there is none."""
    data = _structure(table, answer.body)
    return "" if data is NOTHING else text_at(path, data)


def fits(condition: Condition, data: Any, query: Mapping[str, str] | None = None) -> bool:
    """Whether values in a structure, or in the parameters of an address, fit a condition."""
    path = condition.path
    if path is None:
        return True
    if data is NOTHING and not path.in_query:
        return False
    found = find(path, data, query or {})
    if condition.exists is not None:
        return bool([value for value in found if value not in (None, "", [], {})]) == condition.exists
    texts = [text for value in found if (text := text_of(value)) is not None]
    if condition.equals is not None:
        return any(text in condition.equals for text in texts)
    if condition.starts is not None:
        return any(text.startswith(tuple(condition.starts)) for text in texts)
    return any(part in text for part in condition.contains or () for text in texts)


def find(path: Path, data: Any, query: Mapping[str, str]) -> list[Any]:
    """Return the values at a path, which may name a parameter of the address."""
    return path.find(dict(query) if path.in_query else data)


def _rule(table: AnswerTable, answer: Answer, data: Any) -> Rule | None:
    return next((rule for rule in table.rules if _fits_status(rule, answer.status) and fits(rule, data)), None)


def _structure(table: AnswerTable, body: bytes) -> Any:
    try:
        return read(table.body, body, {})
    except Unreadable:
        return NOTHING


def _fits_status(rule: Rule, status: int) -> bool:
    return not rule.status or str(status) in rule.status or f"{status // 100}xx" in rule.status


def _price(table: AnswerTable, data: Any) -> Decimal | None:
    """The price of all parts: the sum where each has its own."""
    prices = [reported_price(text) for text in texts_at(table.price, data)]
    known = [price for price in prices if price is not None]
    return sum(known, Decimal()) if known and len(known) == len(prices) else None


def _outcome(rule: Rule, reason: str, answer: Answer, data: Any, table: AnswerTable) -> Outcome:
    match rule.outcome:
        case "accepted":
            ids = tuple(dict.fromkeys(one[:MAX_ID_LENGTH] for one in texts_at(table.ids, data)))
            return Outcome(Verdict.SENT, price=_price(table, data), ids=ids[:_MAX_IDS])
        case "refused":
            return Outcome(Verdict.REFUSED, reason or f"http_{answer.status}")
        case "retry":
            return Outcome(Verdict.RETRY, reason or "not_accepted")
        case "hold":
            seconds = rule.seconds or answer.retry_after or _HOLD_SECONDS
            return Outcome(Verdict.HELD, reason or "limit", hold=min(max(seconds, RETRY_AFTER_MIN), RETRY_AFTER_MAX))
        case "no_money" | "unauthorised":
            default = "no_money" if rule.outcome == "no_money" else "credentials"
            return Outcome(Verdict.UNAUTHORISED, rule.reason or default)
    return unconfirmed(reason or "not_accepted")
