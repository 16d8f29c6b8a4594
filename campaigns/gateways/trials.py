"""Trying a gateway: the request that it would get, a check, a test message, and what a sample of its answers means."""

import time
from typing import Final, NamedTuple

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import User
from campaigns.gateways import registry
from campaigns.gateways.definitions.schema import CallbacksTable, Definition, Rule
from campaigns.gateways.drivers import ADDABLE, DRIVERS
from campaigns.gateways.exchanges import Recorder, save_quietly, verdict_of
from campaigns.gateways.forms import RouteForm
from campaigns.gateways.masking import HIDDEN, ShownRequest, hidden_connection, shown_request
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.gateways.protocol import (
    Answer,
    Callback,
    Connection,
    Driver,
    Outcome,
    Reported,
    Request,
    TransportFailure,
)
from campaigns.gateways.provider_forms import DESCRIBED, OPTION, ProviderForm
from campaigns.models import Exchange
from campaigns.models.exchange import tone_of
from campaigns.sending.transport import transport_for
from campaigns.text import measure, normalise
from directory import phones
from directory.suppression.services import blocked_phones
from project.core.clock import now
from project.observability.logs import mask

log = structlog.get_logger("vestnik.campaigns")

SAMPLE_PHONE: Final = 79991234567
_SAMPLE_ID: Final = 123456789
_SAMPLE_SENDER: Final = "Sender"
_TEST_IDS: Final = 8 * 10**15
"""Ids of tests are greater. No message has such an id, and it is exact in JSON."""


class Checked(NamedTuple):
    """The result of a check. `reason` is empty if the gateway responds; an empty `balance` is not known."""

    reason: str
    balance: str
    exchange: Exchange


class Tested(NamedTuple):
    """The result of a test message. `rule` has its number in the description."""

    exchange: Exchange
    outcome: Outcome
    headers: list[str]
    rule: tuple[int, Rule] | None


class Judged(NamedTuple):
    """What a sample of an answer means."""

    outcome: Outcome
    rule: tuple[int, Rule] | None
    verdict: Exchange.Verdict

    @property
    def tone(self) -> str:
        """The colour of its verdict."""
        return tone_of(self.verdict)


def gateway_check(name: str) -> Checked:
    """Send a request that delivers no message. Raises `sealed_secrets.Locked`."""
    driver = registry.driver(name)
    answer = _answer(driver, driver.check())
    reason = driver.checked(answer)
    row = Recorder(name).checked(answer, reason)
    save_quietly(lambda: [row])
    return Checked(reason, "" if reason else driver.balance(answer), row)


def gateway_send_test(*, name: str, by: User, phone: str | int, text: str = "", sender: str = "") -> Tested:
    """Send one message through this gateway now, and wait for the answer. It appears in no figures.

    Raises ValidationError, and `sealed_secrets.Locked`.
    """
    check_may_manage_gateways(by)
    number, words = _recipient(phone), normalise(text) or _("Test of the gateway %(name)s") % {"name": name}
    driver = registry.driver(name)
    if driver.max_parts is not None and measure(words).parts > driver.max_parts:
        raise ValidationError({"text": _("The text has more parts than the gateway accepts")})
    sender = _sender(name, number, sender)
    message_id = _TEST_IDS + int(now().timestamp() * 1000)
    answer = _answer(driver, driver.build(message_id, number, words, sender))
    outcome, recorder = driver.parse(answer), Recorder(name)
    row = recorder.sent(message_id, number, words, answer, outcome, sender=sender)
    save_quietly(lambda: [row])
    log.info("test of gateway", gateway=name, phone=mask(number), outcome=outcome.verdict.value, by=by.pk)
    headers = list(recorder.request_of(message_id, number, words, sender).headers)
    return Tested(row, outcome, headers, driver.rule_of(answer))


def judge_answer(name: str, status: int, body: str) -> Judged:
    """Return what an answer of this gateway would mean."""
    driver, answer = _reader(name), Answer(status, body.encode())
    outcome = driver.parse(answer)
    return Judged(outcome, driver.rule_of(answer), verdict_of(outcome))


def read_callback(name: str, query: dict[str, str], body: str) -> Reported:
    """Return what a callback of this gateway would report. Raises InvalidReceipt."""
    return _reader(name).parse_callback(Callback(query, body.encode()))


def request_of_form(form: RouteForm) -> ShownRequest | None:
    """Return the request that the gateway in a form would get; None as long as it can't be known."""
    described = _connection_in(form)
    if described is None:
        return None
    kind, connection = described
    driver = kind.connect(hidden_connection(connection))
    definition = connection.definition
    sender = _SAMPLE_SENDER if definition is not None and definition.sender == "required" else ""
    return shown_request(driver, driver.build(_SAMPLE_ID, SAMPLE_PHONE, _("Hello!"), sender))


def _connection_in(form: RouteForm) -> tuple[type[Driver], Connection] | None:
    name = form.instance.pk or str(form["name"].value() or "new")
    if not form.has_url:
        return registry.connection_of(name)
    url, address = str(form["url"].value() or ""), registry.callback_address(name)
    if isinstance(form, ProviderForm):
        if form.definition is None:
            return None
        fields = {field: _value_in(form, form.definition, field) for field in form.definition.fields}
        return DRIVERS[DESCRIBED], Connection(name, url, "", "", address, form.definition, fields)
    kind = ADDABLE.get(str(form["kind"].value()))
    return None if kind is None else (kind, Connection(name, url, str(form["username"].value() or ""), HIDDEN, address))


def _value_in(form: ProviderForm, definition: Definition, field: str) -> str:
    """The value of a field; of a secret one only whether there is or will be one."""
    entered, entry = form[OPTION + field].value(), definition.fields[field]
    if not entry.secret:
        return str(entered or "")
    return HIDDEN if entered or entry.required or field in form.stored else ""


def _sender(name: str, phone: int, wanted: str) -> str:
    """The sender name of a test: as for any message, but free as long as the gateway has no names yet."""
    row = registry.known_gateway(name)
    senders = registry.senders_of(row)
    if not senders:
        return wanted
    registry.check_sender(row, wanted, phones.country(phone))
    return senders.sender_of(phone, wanted)


def _recipient(phone: str | int) -> int:
    try:
        number = phones.deliverable(phone)
    except ValidationError as error:
        raise ValidationError({"phone": error}) from error
    if blocked_phones([number]):
        raise ValidationError({"phone": _("The contact with this phone number has opted out or is deactivated.")})
    return number


def _reader(name: str) -> Driver:
    """A driver that reads samples: without secrets, and without proof of where they come from."""
    kind, connection = registry.connection_of(name)
    hidden = hidden_connection(connection)
    if hidden.definition is not None:
        hidden = hidden._replace(definition=hidden.definition.model_copy(update={"callbacks": CallbacksTable()}))
    return kind.connect(hidden)


def _answer(driver: Driver, request: Request) -> Answer:
    """Send one request, and wait for its answer."""
    transport = transport_for(driver, request)
    deadline = time.monotonic() + settings.GATEWAY_TIMEOUT + 1
    try:
        transport.submit(None, request, settings.GATEWAY_TIMEOUT)
        while time.monotonic() < deadline:
            for _key, answer in transport.poll(0.1):
                return answer
    finally:
        transport.close()
    return Answer(failure=TransportFailure.TIMEOUT)
