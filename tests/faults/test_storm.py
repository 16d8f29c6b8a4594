"""Everything at once: users, worker processes and database connections do what they may, in random order.

Lasts `STORM_SECONDS` (120). The sandbox's log is the oracle: nothing lost, and nobody gets a text twice.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.faults.oracle import add_recipients, assert_counters_agree, collected
from tests.faults.test_kills import tree
from tests.stack import Api, Stack, launch, wait_for

SECONDS = float(os.environ.get("STORM_SECONDS", "120"))
CAMPAIGNS, RECIPIENTS = 8, 1500
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2"
)


class Storm:
    """Random events against a stack; conflicts (409) are allowed, other refusals are not."""

    def __init__(self, stack: Stack, api: Api, seed: int) -> None:
        self.stack, self.api, self.chance = stack, api, random.Random(seed)
        self.events: Counter[str] = Counter()
        self.campaigns = [launch(api, f"storm {number}", rate_limit=60) for number in range(CAMPAIGNS)]
        rows = stack.rows("SELECT id, phone FROM directory_contact ORDER BY id")
        self.contacts: list[int] = [pk for pk, _ in rows]
        self.phones = iter(range(max(phone for _, phone in rows) + 1, 79190000000))
        self.opted_out: dict[int, float] = {}

    def blow(self, seconds: float) -> None:
        """Let one event follow the other."""
        users = [self.pause_or_resume, self.patch, self.retry, self.cancel_and_launch, self.opt_out, self.new_phone]
        users += [self.deactivate, self.join, self.untag]
        actions = [*users, self.pause_or_resume, self.kill, self.suspend, self.disconnect, self.outage]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            action = self.chance.choice(actions)
            self.events[action.__name__] += 1
            action()
            time.sleep(self.chance.uniform(0, 0.6))

    def calm(self) -> None:
        """Let all campaigns go on, and wait until they end."""
        for campaign in self.campaigns:
            self.call("POST", f"/campaigns/{campaign}/resume")
            self.call("PATCH", f"/campaigns/{campaign}", rate_limit=None)
        # Rescuing what killed workers held takes a lease and a sweep.
        wait_for(lambda: not self.unfinished(), "the end of all campaigns", 300)

    def unfinished(self) -> list[Any]:
        return self.stack.rows(
            "SELECT id FROM campaigns_campaign WHERE status IN ('running', 'scheduled') AND NOT direct"
        )

    def call(self, method: str, path: str, **body: Any) -> int:
        """Call the API; the web process loses its connections, too, so an error of the server is tried again."""
        for _ in range(20):
            answer: requests.Response = self.api.request(method, self.api.root + path, json=body or None, timeout=20)
            if answer.status_code < 500:
                assert answer.status_code in (200, 201, 202, 204, 404, 409, 422), answer.text
                return answer.status_code
            time.sleep(0.2)
        raise AssertionError(answer.text)

    def campaign(self) -> int:
        return self.chance.choice(self.campaigns)

    def contact(self) -> int:
        return self.chance.choice(self.contacts)

    def pause_or_resume(self) -> None:
        self.call("POST", f"/campaigns/{self.campaign()}/{self.chance.choice(['pause', 'resume', 'resume'])}")

    def patch(self) -> None:
        self.call("PATCH", f"/campaigns/{self.campaign()}", rate_limit=self.chance.choice([20, 60, 120]))

    def retry(self) -> None:
        self.call("POST", f"/campaigns/{self.campaign()}/retry-failed")

    def cancel_and_launch(self) -> None:
        if len(self.campaigns) < 3 * CAMPAIGNS:
            self.call("POST", f"/campaigns/{self.campaign()}/cancel")
            tag = f"storm {self.chance.randrange(CAMPAIGNS)}"
            self.campaigns.append(launch(self.api, tag, rate_limit=60, text=f"{tag} {len(self.campaigns)}"))

    def opt_out(self) -> None:
        contact = self.contact()
        if self.call("PATCH", f"/contacts/{contact}", opted_out=True) == 200:
            self.opted_out.setdefault(contact, time.time())

    def new_phone(self) -> None:
        self.call("PATCH", f"/contacts/{self.contact()}", phone=str(next(self.phones)))

    def deactivate(self) -> None:
        self.call("PATCH", f"/contacts/{self.contact()}", is_active=self.chance.choice([True, False]))

    def join(self) -> None:
        tag = f"storm {self.chance.randrange(CAMPAIGNS)}"
        self.call("POST", "/contacts", phone=str(next(self.phones)), tags=[tag])

    def untag(self) -> None:
        self.stack.rows(f"DELETE FROM directory_contact_tags WHERE contact_id = {self.contact()} RETURNING id")

    def kill(self) -> None:
        if victims := tree(self.stack):
            os.kill(self.chance.choice(victims), signal.SIGKILL)

    def suspend(self) -> None:
        pids = self.stack.worker_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.1, 3))
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def disconnect(self) -> None:
        if self.stack.environment["DATABASE_URL"].startswith("postgres"):
            self.stack.rows(TERMINATE)

    def outage(self) -> None:
        self.stack.sandbox.faults = self.stack.sandbox.faults.updated({"outage": True})
        time.sleep(self.chance.uniform(0.2, 1.5))
        self.stack.sandbox.faults = self.stack.sandbox.faults.updated({"outage": False})


@pytest.mark.soak
def test_a_storm_loses_nothing_and_texts_nobody_twice(
    stack: Stack, api: Api, record_property: Callable[[str, object], None]
) -> None:
    faults = {"latency": 0.05, "error": 0.02, "throttle": 0.01, "lost": 0.02, "broken": 0.01, "refuse": 0.01}
    stack.sandbox.faults = stack.sandbox.faults.updated(faults)
    for number in range(CAMPAIGNS):
        add_recipients(stack, f"storm {number}", RECIPIENTS)
    storm = Storm(stack, api, seed=int(SECONDS))
    storm.blow(SECONDS)
    stack.sandbox.faults = stack.sandbox.faults.updated(dict.fromkeys(faults, 0))
    storm.calm()
    assert_counters_agree(stack)
    found = [collected(stack, campaign) for campaign in storm.campaigns]
    statuses = sum((each.statuses for each in found), Counter())
    requests = [entry for each in found for entry in each.requests]
    record_property("figures", {**storm.events, **statuses, "requests": len(requests)})
    for each in found:
        assert not each.statuses.keys() & {"pending", "sending"}
        # Contacts join and leave, so the number of messages is not known.
        each.assert_nothing_lost_or_doubled(len(each.messages))
    contacts = dict(stack.rows("SELECT id, contact_id FROM campaigns_message"))
    opted_out = [(entry["at"], storm.opted_out.get(contacts[entry["id"]])) for entry in requests]
    assert max((at - since for at, since in opted_out if since), default=0) < 1
