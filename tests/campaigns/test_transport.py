"""The transport over real HTTP: what it keeps between requests, and what it leaves behind."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from campaigns.gateways.probe import Probe
from campaigns.sandbox.server import Sandbox
from campaigns.sending.transport import CurlTransport, _Exchange
from tests.stack import wait_for


@pytest.fixture
def no_collector() -> Iterator[None]:
    """As in a worker, where the garbage collector hardly ever comes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def exchanges() -> int:
    """How many handles there are."""
    return sum(type(thing) is _Exchange for thing in gc.get_objects())


def send(sandbox: Sandbox, transport: CurlTransport, number: int, concurrency: int) -> int:
    """Send so many messages, and return the most files that were open meanwhile."""
    probe = Probe(sandbox.url, settings.GATEWAY_TOKEN)
    ended, asked, most = 0, 0, 0
    while ended < number:
        while asked < number and transport.in_flight < concurrency:
            asked += 1
            transport.submit(asked, probe.build(asked, 79991234567, "Hello"), 5)
        answers = transport.poll(0.05)
        assert all(answer.status == 200 for _, answer in answers), answers
        ended += len(answers)
        most = max(most, files())
    return most


@pytest.mark.usefixtures("no_collector")
def test_connections_are_kept_and_then_closed_with_all_that_belongs_to_them(sandbox: Sandbox) -> None:
    transport = CurlTransport(Probe(sandbox.url, settings.GATEWAY_TOKEN).headers)
    send(sandbox, transport, 5, 5)
    warm = files()
    assert send(sandbox, transport, 200, 5) <= warm + 1
    assert exchanges() == 5
    transport.close()
    assert exchanges() == 0
    # Both ends of five connections, for the sandbox is in this process.
    wait_for(lambda: files() <= warm - 10, "the end of the connections")
