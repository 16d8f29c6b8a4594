"""The `http` gateway: any provider with an HTTP API, as its description says (docs/providers.md)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from campaigns.gateways.definitions.answers import outcome_of
from campaigns.gateways.definitions.callbacks import OUR_ID, is_from, is_signed, pulled, reported
from campaigns.gateways.definitions.requests import Outgoing, RequestBuilder
from campaigns.gateways.definitions.schema import Definition
from campaigns.gateways.protocol import (
    Acknowledgement,
    Answer,
    Callback,
    Connection,
    Driver,
    InvalidReceipt,
    Outcome,
    Receipt,
    Reported,
    Request,
    Verdict,
    _,
)


class Http(Driver):
    """Requests, answers and callbacks by a description. What it can do differs between gateways of this kind."""

    kind = "http"
    label = _("Provider with an HTTP API")
    idempotent = False
    has_senders = True
    described = True
    reasons = MappingProxyType(
        {
            "absent": _("The phone is switched off or out of reach"),
            "blocked": _("The provider or operator blocks messages to this number"),
            "credentials": _("The provider rejected the credentials"),
            "duplicate": _("The provider says that it has this message already"),
            "invalid_number": _("The provider says that this phone number does not exist"),
            "invalid_sender": _("The provider does not accept the sender name"),
            "invalid_text": _("The provider does not accept the text"),
            "landline": _("This number can’t receive messages"),
            "limit": _("The provider’s limit is reached"),
            "not_accepted": _("The gateway did not confirm that it accepted the message"),
            "no_money": _("The account at the provider has no money left"),
            "opted_out": _("The recipient has opted out at the provider"),
            "provider_error": _("The provider has an internal error"),
            "spam": _("The provider or operator considers the message spam"),
            "unreadable": _("The response is not what the provider’s description says"),
        }
    )

    def __init__(self, definition: Definition, connection: Connection) -> None:
        fields = {name: connection.fields.get(name, field.default) for name, field in definition.fields.items()}
        self._fields: Mapping[str, str] = {**fields, "url": connection.url or definition.url}
        self._definition = definition
        self._sending = RequestBuilder(definition.request, self._fields)
        super().__init__(connection.name, self._sending.headers)
        self.method = definition.request.method
        self.idempotent, self.max_parts = definition.idempotent, definition.max_parts
        self._pulling = RequestBuilder(definition.pull, self._fields) if definition.pull else None
        self.pull_batch = definition.pull.batch if definition.pull else 0
        self.has_senders = definition.sender != "unsupported"
        self._callback = f"{connection.callback}&{OUR_ID}="
        back = definition.callbacks.answer
        self.acknowledgement = Acknowledgement(back.status, back.type, back.body) if back else None

    @classmethod
    def connect(cls, connection: Connection) -> "Http":
        """Create the driver with the description and the fields of the gateway."""
        if connection.definition is None:
            raise ValueError("This gateway has no description.")
        return cls(connection.definition, connection)

    def build(self, message_id: int, phone: int, text: str, sender: str = "") -> Request:
        """Build the request by `[request]`."""
        return self._sending.build(Outgoing(message_id, phone, text, sender, self._callback))

    def parse(self, answer: Answer) -> Outcome:
        """Return the outcome by `[answer]`."""
        return outcome_of(self._definition.answer, answer)

    def check(self) -> Request:
        """The request by `[check]`, or else a message without phone and text."""
        if self._definition.check is None:
            return self.build(0, 0, "")
        builder = RequestBuilder(self._definition.check, self._fields)
        return builder.build(Outgoing())._replace(method=builder.method, headers=builder.headers)

    def checked(self, answer: Answer) -> str:
        """By the rules where they say that the account is refused, or else by the status."""
        outcome = self.parse(answer)
        if outcome.verdict in (Verdict.UNAUTHORISED, Verdict.HELD):
            return outcome.reason
        return super().checked(answer)

    def pull(self, ids: Sequence[str]) -> Request:
        """Build the request by `[pull]`."""
        table, builder = self._definition.pull, self._pulling
        assert table is not None and builder is not None  # noqa: PT018, S101 — `pull_batch` is not 0
        request = builder.build(Outgoing(ids=table.separator.join(ids)))
        return request._replace(method=builder.method, headers=builder.headers)

    def pulled(self, ids: Sequence[str], body: bytes) -> list[Receipt]:
        """Read the answer by `[pull.receipts]`; an answer about one message need not repeat its id."""
        assert self._definition.pull is not None  # noqa: S101 — `pull_batch` is not 0
        receipts = pulled(self._definition.pull.receipts, body, ids[0] if len(ids) == 1 else "")
        return [receipt for receipt in receipts if receipt.provider_id in ids]

    def parse_callback(self, callback: Callback) -> Reported:
        """Return receipts and incoming messages, after the signature (if its key is known) and the address fit."""
        signature, addresses = self._definition.callbacks.signature, self._definition.callbacks.addresses
        if addresses and not is_from(addresses, callback.address):
            raise InvalidReceipt("This address is not the provider's.")
        key = signature and self._fields[signature.field]
        if signature and key and not is_signed(signature, key, callback):
            raise InvalidReceipt("The signature is wrong.")
        return reported(self._definition, callback)
