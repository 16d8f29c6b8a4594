"""The number of queries of an operation does not depend on the number of rows."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.webhooks.models import Webhook
from campaigns.states import MessageStatus
from tests import factories
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

CALLS = [
    "/users",
    "/users/me",
    "/tokens",
    "/contacts",
    "/contacts?tag=vip",
    "/contacts/{contact}",
    "/contacts/{contact}/timeline",
    "/campaigns",
    "/campaigns/{campaign}",
    "/campaigns/{campaign}/stats",
    "/campaigns/{campaign}/messages",
    "/campaigns/{campaign}/messages?status=failed",
    "/messages/{message}",
    "/inbound",
    "/stats",
    "/webhooks",
]


@pytest.mark.parametrize("path", CALLS)
def test_the_number_of_queries_does_not_grow(path: str, admin: User) -> None:
    client = ApiClient(admin)
    campaign, run = started(admin, contacts=1)
    message = settle(run, 1, MessageStatus.FAILED, "http_400")[0]
    factories.contact(admin, tags=("vip",))
    places = {"campaign": campaign.pk, "message": message.pk, "contact": message.contact_id}
    client.get("/users/me")
    few = asked(client, path.format(**places))
    for _ in range(5):
        factories.user()
        factories.contact(admin, tags=("vip", "new"))
        factories.campaign(admin, draft=True)
        Webhook.objects.create(owner=admin, url="https://8.8.8.8/", events=[])
        ApiClient(admin)
    started(admin, contacts=5)
    assert asked(client, path.format(**places)) == few


def asked(client: Any, path: str) -> int:
    """The number of queries of a request."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return len(queries)
