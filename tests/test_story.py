"""The JSON log of all processes has the history of a message and a contact, and no secrets."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from campaigns.sandbox.faults import Faults
from tests.stack import EMAIL, ROOT, TOKEN, Api, Stack, finished, launch, wait_for
from tools.story import events, story

PHONE = "79995550142"


@dataclass(frozen=True)
class TwoFaults(Faults):
    """The first request gets an error, the second a reset; later ones succeed."""

    def pick(self, number: float) -> str | None:
        met = self.__dict__.setdefault("met", ["reset", "error"])
        return met.pop() if met else None


def columns(log: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(event.get(name) for name in names) for event in log]


def test_the_log_contains_the_history_of_a_message_and_a_contact(stack: Stack, api: Api) -> None:
    contact = api.call("POST", "/contacts", 201, phone=PHONE, first_name="Ипполит", tags=["story"])["id"]
    api.call("PATCH", f"/contacts/{contact}", first_name="Ипполита")
    stack.sandbox.faults = TwoFaults()
    campaign = launch(api, "story", text="Тайна {first_name}")
    wait_for(lambda: finished(api, campaign), "the campaign's end")
    single = api.call("POST", "/messages", 202, phone=PHONE, text="Пароль 1234")["id"]
    wait_for(lambda: api.call("GET", f"/messages/{single}")["status"] == "sent", "the single message")
    (message,) = (row["id"] for row in api.call("GET", f"/campaigns/{campaign}/messages")["items"])
    user = api.call("GET", "/users/me")["id"]

    files = sorted(stack.folder.glob("*.log"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    log = events(lines)
    assert len(log) == len(lines), [line for line in lines if not line.startswith("{")][:5]

    attempts = [event for event in story("message", str(message), log) if event["event"] == "attempt"]
    assert columns(
        attempts, "attempt", "outcome", "reason", "http_status", "status", "gateway", "contact", "campaign"
    ) == [
        (1, "retry", "http_500", 500, "pending", "probe", contact, campaign),
        (2, "retry", "reset", 0, "pending", "probe", contact, campaign),
        (3, "sent", None, 200, None, "probe", contact, campaign),
    ]
    rows = stack.rows(f"SELECT reason, duration_ms FROM campaigns_attempt WHERE message_id = {message} ORDER BY id")
    assert columns(attempts[:2], "reason", "ms") == rows
    assert all(earlier["due"] <= later["timestamp"] for earlier, later in pairwise(attempts))
    milestones = [event["event"] for event in story("message", str(message), log)]
    wanted = ["run started", "recipients added", "attempt", "attempt", "attempt", "run finished", "campaign finished"]
    assert [event for event in milestones if event in wanted] == wanted

    of_contact = story("contact", str(contact), log)
    assert ("POST", "/api/v1/contacts", 201, user) in columns(of_contact, "method", "path", "status", "user")
    assert ("PATCH", f"/api/v1/contacts/{contact}", 200, user) in columns(
        of_contact, "method", "path", "status", "user"
    )
    assert ("created", None, user) in columns(of_contact, "event", "fields", "user")
    assert ("changed", ["first_name"], user) in columns(of_contact, "event", "fields", "user")
    assert {event["message"] for event in of_contact if event["event"] == "attempt"} == {message, single}

    command = [sys.executable, "-m", "tools.story", "message", str(message), *map(str, files)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(re.findall("^.* attempt ", printed, re.MULTILINE)) == 3

    everything = "\n".join(lines)
    secrets = [
        PHONE,
        "Ипполит",
        "Тайна",
        "Пароль",
        EMAIL,
        str(api.headers["Authorization"]),
        TOKEN,
    ]
    assert not [secret for secret in secrets if secret in everything or json.dumps(secret)[1:-1] in everything]
    assert f"{PHONE[:4]}***{PHONE[-4:]}" in everything
