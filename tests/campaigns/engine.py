"""Run the sending engine in the test's process, against the sandbox over real HTTP."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns import services
from campaigns.gateways.drivers.probe import Probe
from campaigns.models import Campaign, Message, Run
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.sending.session import SendSession
from campaigns.sending.transport import CurlTransport
from campaigns.states import CHARGED, MessageStatus
from directory.audiences.audience import Audience
from directory.models import Contact
from directory.phones import country

Result = TypeVar("Result")


class Inline(Executor):
    """Runs each job at once, in the caller's thread and so in the test's transaction."""

    def submit(self, job: Callable[..., Result], /, *args: Any, **options: Any) -> Future[Result]:
        """Run the job; the future holds its result or error when this returns."""
        future: Future[Result] = Future()
        try:
            future.set_result(job(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def campaign_to(owner: User, number: int, **fields: Any) -> Campaign:
    """A campaign to everyone, including this many new contacts."""
    phones = range(79050000000, 79050000000 + number)
    Contact.objects.bulk_create(Contact(owner=owner, phone=n, operator_code="905", first_name="Ира") for n in phones)
    fields = {"text": "Привет, {first_name|друг}!", "ends_at": now() + timedelta(hours=1), **fields}
    return services.campaign_create(owner=owner, name="Sale", audience=Audience(), **fields)


def run_session(sandbox: Sandbox, *, token: str | None = None, **options: Any) -> set[int]:
    """Run one send session to its end, and return the ids of the runs that it leased from."""
    driver = Probe(sandbox.url, token or settings.GATEWAY_TOKEN)
    transport = CurlTransport(driver.headers)
    try:
        return SendSession(driver, transport, executor=Inline(), **options).run()
    finally:
        transport.close()


def send_everything(campaign: Campaign, sandbox: Sandbox, *, seconds: float = 60) -> None:
    """Advance and send, as workers and the periodic task do, until the campaign is finished."""
    deadline = time.monotonic() + seconds
    while campaign.status in ("scheduled", "running"):
        assert time.monotonic() < deadline, Counter(Message.objects.values_list("status", "reason"))
        campaign_advance(campaign.pk)
        run_session(sandbox)
        campaign.refresh_from_db()


def statuses(campaign: Campaign) -> dict[str, int]:
    """The number of messages by status, counted from the rows."""
    return dict(Counter(Message.objects.filter(run__campaign=campaign).values_list("status", flat=True)))


def assert_counters_match(campaign: Campaign) -> None:
    """Assert that the runs' counters equal the number of rows in each status, and their costs the sums of prices."""
    for run in Run.objects.filter(campaign=campaign):
        rows = Counter(run.messages.values_list("status", flat=True))
        assert {status: getattr(run, status) for status in MessageStatus.values if getattr(run, status)} == dict(rows)
        assert_costs_match(run)


def assert_costs_match(run: Run) -> None:
    """Assert that the run's costs are the sums of its messages' prices, in total and by gateway and country."""
    priced = run.messages.filter(cost__isnull=False)
    reserved = priced.filter(status=MessageStatus.SENDING)
    assert run.reserved_cost == sum(message.cost or 0 for message in reserved)
    charged: Counter[tuple[str, str, str]] = Counter()
    for message in priced.filter(status__in=CHARGED):
        for name, number in (("messages", 1), ("parts", message.parts), ("cost", message.cost)):
            charged[str(message.gateway_id), country(message.recipient), name] += number or 0
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in run.costs.all():
        for name in ("messages", "parts", "cost"):
            counted[row.gateway, row.country, name] += getattr(row, name)
    assert +counted == +charged
    assert run.cost == sum(number for (_, _, name), number in charged.items() if name == "cost")


def hints(name: str) -> int:
    """How many tasks of that name are in the queue."""
    return sum(row.task["func"] == name for row in OrmQ.objects.all())
