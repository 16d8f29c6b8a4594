"""Two hosts with their own networks share one PostgreSQL; then one of them is disconnected."""

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from campaigns.sandbox.server import Sandbox, running_sandbox
from campaigns.sending.circuit_breaker import FAILURES_TO_OPEN
from tests.faults.oracle import add_recipients, evidence
from tests.faults.servers import running_server
from tests.stack import EMAIL, PASSWORD, TOKEN, Stack, finished, launch, processes, wait_for

SHARED = "10.77.0.1"
"""The address of PostgreSQL and the gateway."""
RECIPIENTS, RATE = 9000, 100.0
SENDERS = 2 * 3
KNOWN_WITHIN = 0.5
GONE_WITHIN = 60
"""Seconds until PostgreSQL ends the sessions of a vanished host and releases their locks."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="only root makes networks, by `ip`"),
]


class Host(Stack):
    """A network namespace with its own address, a link to the shared services, and its own folder."""

    def __init__(self, number: int, folder: Path, database_url: str, sandbox: Sandbox) -> None:
        super().__init__(folder, database_url, sandbox)
        self.name, self.cable = f"vestnik-{os.getpid()}-{number}", f"v{os.getpid()}-{number}"
        self.address, self.gate = f"10.77.{number}.2", f"10.77.{number}.1"
        self.url = f"http://{self.address}:{self.port}"
        self.prefix = ("ip", "netns", "exec", self.name)
        self.environment |= {
            "PUBLIC_URL": self.url,
            "ALLOWED_HOSTS": self.address,
            "GATEWAY_RATE": str(RATE),
            "LOG_FORMAT": "json",
        }

    @contextmanager
    def network(self) -> Iterator[None]:
        """Create the network for the duration of the block."""
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            ip("addr", "add", f"{self.gate}/24", "dev", self.cable)
            ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
            ip("-n", self.name, "link", "set", "lo", "up")
            self.plug_in()
            yield
        finally:
            ip("netns", "del", self.name)

    def plug_in(self) -> None:
        """Connect the host."""
        ip("link", "set", self.cable, "up")
        ip("-n", self.name, "link", "set", "eth0", "up")
        ip("-n", self.name, "route", "replace", "default", "via", self.gate)

    def unplug(self) -> None:
        """Disconnect the host: packets are silently dropped."""
        ip("link", "set", self.cable, "down")

    def attempts(self) -> int:
        """The number of requests that its worker has logged."""
        return (self.folder / "worker.log").read_text().count('"event": "attempt"')

    def sessions(self) -> int:
        """The number of its sessions according to PostgreSQL."""
        return int(self.rows(f"SELECT count(*) FROM pg_stat_activity WHERE client_addr = '{self.address}'")[0][0])


def ip(*arguments: str) -> None:
    """Run iproute2's `ip`."""
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    """Two running hosts that know only the shared address."""
    with ExitStack() as context:
        ip("addr", "add", f"{SHARED}/32", "dev", "lo")
        context.callback(ip, "addr", "del", f"{SHARED}/32", "dev", "lo")
        sandbox = context.enter_context(running_sandbox(token=TOKEN, seed=1, host=SHARED))
        both: list[Host] = []
        networks = context.enter_context(ExitStack())
        folders = [tmp_path / "one", tmp_path / "two"]
        server = context.enter_context(running_server(SHARED))
        for number, folder in enumerate(folders, start=1):
            both.append(Host(number, folder, server.url, sandbox))
            networks.enter_context(both[-1].network())
        both[0].set_up()
        for host in both:
            context.enter_context(processes(host))
        yield both


def test_one_of_two_hosts_is_cut_off_and_the_other_finishes(
    hosts: list[Host], record_property: Callable[[str, object], None]
) -> None:
    first, second = hosts
    api = first.fresh_api()
    second.log = first.log
    other = second.api(second.api().call("POST", "/tokens", 201, email=EMAIL, password=PASSWORD)["token"])
    ledger = first.sandbox.ledger
    first.sandbox.faults = first.sandbox.faults.updated({"latency": 0.2})
    add_recipients(first, "hosts", RECIPIENTS)
    campaign = launch(api, "hosts")
    wait_for(lambda: ledger.accepted >= 2 * RATE and min(host.attempts() for host in hosts) > 0, "both hosts at work")

    calm = time.time()
    wait_for(lambda: time.time() > calm + 20, "twenty seconds")
    shares = [host.attempts() for host in hosts]

    first.sandbox.faults = first.sandbox.faults.updated({"outage": True})
    wait_for(
        lambda: first.rows("SELECT 1 FROM campaigns_gateway WHERE open_until IS NOT NULL"), "an open circuit breaker"
    )
    opened = time.time()
    wait_for(lambda: time.time() > opened + 5, "five seconds")
    first.sandbox.faults = first.sandbox.faults.updated({"outage": False})
    before = ledger.accepted
    wait_for(lambda: ledger.accepted > before + 3 * RATE, "sending again")

    first.unplug()
    cut = time.time()
    wait_for(lambda: not first.sessions(), "the end of its sessions", GONE_WITHIN)
    gone = time.time() - cut
    wait_for(lambda: finished(other, campaign), "the campaign's end", 300 + RECIPIENTS / RATE)
    took = time.time() - cut
    found = evidence(second, campaign)
    found.assert_nothing_lost_or_doubled(RECIPIENTS)
    assert found.statuses == {"sent": RECIPIENTS}
    assert found.taken.total() <= RECIPIENTS + 3 * 100

    in_calm = [at for at in found.times() if calm <= at < calm + 20]
    assert len(in_calm) == pytest.approx(20 * RATE, rel=0.02)
    assert min(shares) > sum(shares) / 10
    outage = found.times("outage")
    assert len(outage) <= FAILURES_TO_OPEN * SENDERS + RATE * KNOWN_WITHIN
    assert len([at for at in outage if at > opened + KNOWN_WITHIN]) <= 6
    arrivals = [cut, *(at for at in found.times() if at > cut)]
    still = max(after - before for before, after in itertools.pairwise(arrivals[: -3 * 100]))
    assert still < GONE_WITHIN

    first.plug_in()
    second.stop_worker()
    add_recipients(second, "back", 300)
    again = launch(other, "back")
    wait_for(lambda: finished(other, again), "a campaign of the host that is back", 120)
    found_again = evidence(second, again)
    found_again.assert_nothing_lost_or_doubled(300)
    figures = {"shares": shares, "rate": len(in_calm) / 20, "outage": len(outage), "gone": gone, "still": still}
    record_property("figures", {**figures, "finished": took, **ledger.stats()})
