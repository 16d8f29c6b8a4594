"""An upgrade in the middle of a campaign: migrate while the old code runs, start the new code, stop the old."""

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from campaigns.sandbox.server import running_sandbox
from tests.faults.oracle import add_recipients, evidence
from tests.stack import EMAIL, PASSWORD, ROOT, TOKEN, Api, Stack, database, finished, launch, processes, wait_for

RECIPIENTS, RATE = 4000, 40
EACH_SECONDS = 12
PAGES = ("/", "/contacts/", "/campaigns/", "/reports/", "/account/", "/api/v1/campaigns", "/api/v1/stats")


class Visitor:
    """Uses pages and API during the upgrade, and adds contacts to the running campaign."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.joined = 0
        self._phones = iter(range(79180000000, 79180100000))

    def visit(self, stack: Stack, seconds: float) -> None:
        """Visit all pages for this many seconds, through this host's web process."""
        session, api = signed_in(stack), signed_in_api(stack)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for page in PAGES:
                caller = api if page.startswith("/api") else session
                self.answers[caller.get(stack.url + page, timeout=20).status_code] += 1
            phone = str(next(self._phones))
            api.call("POST", "/contacts", 201, phone=phone, tags=["upgrade"])
            self.joined += 1
            api.call("POST", "/messages", 202, phone=phone, text="Hello")
            draft = {"name": phone, "text": phone, "audience": {"tags": ["none"]}, "ends_at": "2100-01-01T00:00:00Z"}
            campaign = api.call("POST", "/campaigns", 201, **draft, starts_at="2099-01-01T00:00:00Z")["id"]
            api.call("POST", f"/campaigns/{campaign}/cancel")


ACCOUNT = {"email": EMAIL, "password": PASSWORD}


def signed_in(stack: Stack) -> requests.Session:
    """A signed-in session of the administrator."""
    session = requests.Session()
    address = f"{stack.url}/accounts/login/"
    session.get(address, timeout=20)
    form = {"login": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    assert session.post(address, data=form, timeout=20, allow_redirects=False).status_code == 302
    return session


def old_commit() -> str:
    """The commit to upgrade from: UPGRADE_FROM, or the last one before the newest migration."""
    command = ["git", "log", "-1", "--diff-filter=A", "--format=%H^", "--", "*/migrations/0*.py"]
    newest = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    return os.environ.get("UPGRADE_FROM", newest)


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """The code of that commit, with the current libraries."""
    folder = tmp_path / "code"
    folder.mkdir()
    archive = subprocess.run(["git", "archive", old_commit()], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


def errors(folder: Path) -> list[str]:
    """The errors in its processes' logs."""
    lines = [line for log in folder.glob("*.log") for line in log.read_text().splitlines()]
    assert any('"level": "info"' in line for line in lines)
    # Waiting for a worker polls /readyz, whose 503 Django logs as an error.
    return [
        line for line in lines if re.search(r'"level": "(error|critical)"|^Traceback', line) and "/readyz" not in line
    ]


def begin(stack: Stack, other: Stack) -> int:
    """Launch a campaign on this host against a faulty gateway; both hosts share the gateway's log. Return its id."""
    stack.new_ledger()
    other.log = stack.log
    stack.sandbox.faults = stack.sandbox.faults.updated({"error": 0.02, "throttle": 0.005, "latency": 0.05})
    add_recipients(stack, "upgrade", RECIPIENTS)
    return launch(signed_in_api(stack), "upgrade", rate_limit=RATE)


def signed_in_api(stack: Stack) -> Api:
    """The API for the administrator."""
    return stack.api(stack.api().call("POST", "/tokens", 201, **ACCOUNT)["token"])


def assert_everyone_got_one_message(last: Stack, new: Stack, campaign: int, visitor: Visitor) -> None:
    """Wait until the last host has finished the campaign. All messages are sent, and all pages have answered."""
    api = signed_in_api(last)
    wait_for(lambda: finished(api, campaign), "the campaign's end", 120 + RECIPIENTS / RATE)
    found = evidence(new, campaign)
    found.assert_nothing_lost_or_doubled(RECIPIENTS + visitor.joined)
    assert found.statuses == {"sent": RECIPIENTS + visitor.joined}
    assert visitor.answers.keys() == {200}


@pytest.mark.soak
def test_a_campaign_continues_during_a_downgrade(tmp_path: Path, old_code: Path) -> None:
    """The new code is stopped after the old one has been started again; the tables stay migrated."""
    visitor = Visitor()
    with ExitStack() as context:
        url = context.enter_context(database(tmp_path))
        sandbox = context.enter_context(running_sandbox(token=TOKEN, seed=1))
        new, old = Stack(tmp_path / "new", url, sandbox), Stack(tmp_path / "old", url, sandbox, old_code)
        new.set_up()
        with processes(new):
            campaign = begin(new, old)
            visitor.visit(new, EACH_SECONDS)
            context.enter_context(processes(old))
            visitor.visit(old, EACH_SECONDS)
            visitor.visit(new, EACH_SECONDS)
            assert sandbox.ledger.accepted < RECIPIENTS
        visitor.visit(old, EACH_SECONDS)
        assert_everyone_got_one_message(old, new, campaign, visitor)
    assert errors(old.folder) == errors(new.folder) == []


@pytest.mark.soak
def test_a_campaign_continues_during_an_upgrade(
    tmp_path: Path, old_code: Path, record_property: Callable[[str, object], None]
) -> None:
    visitor = Visitor()
    with ExitStack() as context:
        url = context.enter_context(database(tmp_path))
        sandbox = context.enter_context(running_sandbox(token=TOKEN, seed=1))
        old, new = Stack(tmp_path / "old", url, sandbox, old_code), Stack(tmp_path / "new", url, sandbox)
        old.set_up()
        with processes(old):
            campaign = begin(old, new)
            visitor.visit(old, EACH_SECONDS)
            new.manage("migrate", "-v0")
            visitor.visit(old, EACH_SECONDS)
            context.enter_context(processes(new))
            visitor.visit(new, EACH_SECONDS)
            visitor.visit(old, EACH_SECONDS)
            assert sandbox.ledger.accepted < RECIPIENTS
        visitor.visit(new, EACH_SECONDS)
        assert_everyone_got_one_message(new, new, campaign, visitor)
        figures = {"from": old_commit(), "joined": visitor.joined, "answers": visitor.answers}
        record_property("figures", {**figures, **sandbox.ledger.stats()})
    assert errors(old.folder) == errors(new.folder) == []
