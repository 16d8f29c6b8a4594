"""`/campaigns/{id}/messages/export` of the JSON API."""

import json
from typing import Any

import pytest

from accounts.models import User
from campaigns.states import MessageStatus
from reports import exports_api
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient


def content(answer: Any) -> bytes:
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def test_messages_are_exported_in_every_format(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports_api, "_BATCH", 2)
    campaign, run = started(alice, contacts=3)
    settle(run, 1, MessageStatus.SENT)
    client, path = ApiClient(alice), f"/campaigns/{campaign.pk}/messages"
    table = content(client.get(f"{path}/export")).decode("utf-8-sig").splitlines()
    assert (table[0].split(",")[0], len(table)) == ("id", 4)
    assert content(client.get(f"{path}/export?format=xlsx")).startswith(b"PK")
    lines = content(client.get(f"{path}/export?format=jsonl")).decode().splitlines()
    assert [json.loads(line) for line in lines] == client.get(path).json()["items"]
    assert client.get(f"{path}/export?format=x").status_code == 422
