"""Read receipts and incoming messages by a description."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple

from campaigns.gateways.definitions.answers import MAX_ID_LENGTH, find, fits
from campaigns.gateways.definitions.paths import Body, Path, Unreadable, read, text_of, text_structure
from campaigns.gateways.definitions.schema import Definition, IncomingTable, ReceiptsTable, Signature
from campaigns.gateways.protocol import (
    Callback,
    Incoming,
    InvalidReceipt,
    Receipt,
    Reported,
    code_of,
    message_id_of,
    reported_price,
)

OUR_ID: Final = "message"
"""The parameter of the callback address that holds our id of the message."""
MAX_ITEMS: Final = 10_000


class _Item(NamedTuple):
    """One receipt or incoming message, with the parameters of the address that it came to."""

    data: Any
    query: Mapping[str, str]

    def text(self, path: Path | None) -> str:
        """The first value at a path; an empty string if there is none."""
        found = find(path, self.data, self.query) if path else []
        return next((text for value in found if (text := text_of(value))), "")


def reported(definition: Definition, callback: Callback) -> Reported:
    """Return what a callback reports. Raises InvalidReceipt if it can't be read, or is neither."""
    receipts: list[Receipt] = []
    incoming: list[Incoming] = []
    understood = problem = ""
    for table in (definition.receipts, definition.incoming):
        if table is None:
            continue
        try:
            items = _items(table, callback)
        except Unreadable as error:
            problem = str(error)
            continue
        for item in items:
            if isinstance(table, ReceiptsTable) and _is_receipt(table, item):
                understood = "receipt"
                receipts += filter(None, [_receipt_of(table, item)])
            elif isinstance(table, IncomingTable) and _is_incoming(table, item):
                understood = "incoming"
                incoming.append(_incoming_of(table, item))
    if not understood:
        raise InvalidReceipt(problem or "This is neither a receipt nor an incoming message.")
    return Reported(receipts, incoming)


def pulled(table: ReceiptsTable, body: bytes, only_id: str = "") -> list[Receipt]:
    """Return the final receipts in the answer to a request for receipts. Raises InvalidReceipt.

    `only_id` is the provider's id that was asked for if there is only one.
    """
    try:
        items = _items(table, Callback({}, body))
    except Unreadable as error:
        raise InvalidReceipt(str(error)) from error
    return [receipt for item in items if (receipt := _receipt_of(table, item, only_id))]


def is_signed(signature: Signature, key: str, callback: Callback) -> bool:
    """Whether the header has the HMAC of the body (RFC 2104), compared in constant time."""
    expected = signature_of(signature, key, callback.body)
    shown = callback.headers.get(signature.header.lower(), "").removeprefix(signature.prefix)
    if signature.encoding == "hex":
        shown = shown.lower()
    return hmac.compare_digest(shown.encode(), expected.encode())


def signature_of(signature: Signature, key: str, body: bytes) -> str:
    """Return the HMAC of a body as the header has it, without the prefix."""
    digest = hmac.new(key.encode(), body, getattr(hashlib, signature.algorithm)).digest()
    return digest.hex() if signature.encoding == "hex" else b64encode(digest).decode()


def is_from(networks: Collection[str], address: str) -> bool:
    """Whether an IP address is in one of these networks."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)


def _items(table: ReceiptsTable | IncomingTable, callback: Callback) -> list[_Item]:
    kind: Body = table.body
    data = read(kind, callback.body, callback.query)
    found = table.items.find(data) if table.items else (data if isinstance(data, list) else [data])
    if len(found) > MAX_ITEMS:
        raise InvalidReceipt(f"At most {MAX_ITEMS} receipts at once.")
    # SMS.ru puts a text of several lines into each item.
    return [_Item(text_structure(one) if isinstance(one, str) else one, callback.query) for one in found]


def _is_receipt(table: ReceiptsTable, item: _Item) -> bool:
    if table.when is not None:
        return fits(table.when, item.data, item.query)
    known = item.text(table.id) or item.text(table.message) or item.query.get(OUR_ID)
    return bool(known and item.text(table.status))


def _is_incoming(table: IncomingTable, item: _Item) -> bool:
    if table.when is not None:
        return fits(table.when, item.data, item.query) and bool(item.text(table.phone))
    path = table.text or table.text_hex
    return bool(item.text(table.phone)) and path is not None and bool(find(path, item.data, item.query))


def _receipt_of(table: ReceiptsTable, item: _Item, only_id: str = "") -> Receipt | None:
    """The receipt in an item; None if its status is not final, or no id is in it."""
    status, error = item.text(table.status), item.text(table.error)
    delivered = status in table.delivered
    ours = _our_id(item.text(table.message) or item.query.get(OUR_ID, ""))
    theirs = item.text(table.id)[:MAX_ID_LENGTH] or only_id
    if not (delivered or status in table.undelivered) or not (ours or theirs):
        return None
    reason = "" if delivered else _reason(table, error, status)
    return Receipt(ours, delivered, reason, reported_price(item.text(table.price)), theirs)


def _reason(table: ReceiptsTable, error: str, status: str) -> str:
    """The reason by the error code, or else by the status; an unknown code is kept."""
    known = table.reasons.get(error) or table.reasons.get(status)
    return known or (code_of(f"error_{error}") if error.strip("0") else "not_delivered")


def _our_id(text: str) -> int | None:
    try:
        return message_id_of(text)
    except InvalidReceipt:
        return None


def _incoming_of(table: IncomingTable, item: _Item) -> Incoming:
    return Incoming(
        phone=item.text(table.phone)[:MAX_ID_LENGTH],
        text=_decoded(item.text(table.text_hex)) if table.text_hex else item.text(table.text),
        provider_id=item.text(table.id)[:MAX_ID_LENGTH],
        recipient=item.text(table.recipient)[:MAX_ID_LENGTH],
        sent_at=_time(item.text(table.time)),
    )


def _decoded(digits: str) -> str:
    try:
        return bytes.fromhex(digits).decode("utf-16-be", "replace")
    except ValueError:
        return digits  # one wrong item must not lose the others


def _time(text: str) -> datetime | None:
    """Return the moment in ISO 8601, or in seconds or milliseconds since 1970; None if it is none."""
    try:
        if text.replace(".", "", 1).isdecimal():
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds > 10**11 else seconds, UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
