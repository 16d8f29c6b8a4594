"""Drive the sending engine in the test's own process, against the sandbox over real HTTP."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from django.conf import settings
from django_q.models import OrmQ

from campaigns.gateways.probe import Probe
from campaigns.lifecycle import campaign_advance
from campaigns.models import Campaign, Message, Run
from campaigns.sandbox.server import Sandbox
from campaigns.sending.sender import Slice
from campaigns.sending.transport import CurlTransport
from campaigns.states import MessageStatus

Result = TypeVar("Result")


class Inline(Executor):
    """Does at once, in the caller's thread and thus in the test's transaction, what it is asked to do."""

    def submit(self, job: Callable[..., Result], /, *args: Any, **options: Any) -> Future[Result]:
        """The result, or the error, is there when this returns."""
        future: Future[Result] = Future()
        try:
            future.set_result(job(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def slice_of(sandbox: Sandbox, *, token: str | None = None, **options: Any) -> set[int]:
    """Run one slice to its end, and return the runs that it moved."""
    adapter = Probe(sandbox.url, token or settings.GATEWAY_TOKEN)
    transport = CurlTransport(adapter.headers)
    try:
        return Slice(adapter, transport, executor=Inline(), **options).run()
    finally:
        transport.close()


def send_everything(campaign: Campaign, sandbox: Sandbox, *, seconds: float = 60) -> None:
    """Advance and send, as worker and sweeper would, until the campaign is over."""
    deadline = time.monotonic() + seconds
    while campaign.status in ("scheduled", "running"):
        assert time.monotonic() < deadline, Counter(Message.objects.values_list("status", "reason"))
        campaign_advance(campaign.pk)
        slice_of(sandbox)
        campaign.refresh_from_db()


def statuses(campaign: Campaign) -> dict[str, int]:
    """Messages by status, counted from the rows."""
    return dict(Counter(Message.objects.filter(run__campaign=campaign).values_list("status", flat=True)))


def assert_counters_true(campaign: Campaign) -> None:
    """The runs' counters equal what the rows say."""
    for run in Run.objects.filter(campaign=campaign):
        rows = Counter(run.messages.values_list("status", flat=True))
        assert {status: getattr(run, status) for status in MessageStatus.values if getattr(run, status)} == dict(rows)


def hints(name: str) -> int:
    """How many hints of that name wait in the queue."""
    return sum(row.task["func"] == name for row in OrmQ.objects.all())
