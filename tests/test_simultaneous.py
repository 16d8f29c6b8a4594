"""Two hundred simultaneous requests to real web processes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import requests

from tests.stack import Api, Stack

NUMBER = 200


def at_once(stack: Stack, api: Api, path: str, body: dict[str, Any], **headers: str) -> list[requests.Response]:
    """Send the same POST from many threads, each with its own connection."""
    sent = {**api.headers, **headers}

    def post(_: int) -> requests.Response:
        return requests.post(f"{stack.url}/api/v1{path}", json=body, headers=sent, timeout=60)

    with ThreadPoolExecutor(NUMBER) as pool:
        return list(pool.map(post, range(NUMBER)))


def test_one_idempotency_key_creates_one_object_and_one_response(stack: Stack, api: Api) -> None:
    body = {"phone": "+7 903 123-45-67", "text": "Once."}
    answers = at_once(stack, api, "/messages", body, **{"Idempotency-Key": str(uuid4())})
    assert Counter(answer.status_code for answer in answers) == {202: NUMBER}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1


def test_only_one_of_simultaneous_duplicate_campaigns_is_created(stack: Stack, api: Api) -> None:
    body = {
        "name": "Twins",
        "text": f"Twins {uuid4()}",
        "audience": {"tags": ["nobody"]},
        "starts_at": "2098-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
    }
    answers = at_once(stack, api, "/campaigns", body)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: NUMBER - 1}
