"""Permissions of the API: every operation, for every kind of client."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.conf import settings

from accounts.models import ApiToken, Scope, User
from accounts.webhooks.models import EventType, Webhook
from campaigns.states import MessageStatus
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from directory.bulk_actions.work import bulk_start
from directory.models import BulkActionType, Tag
from directory.suppression.services import suppress
from project.api import api
from tests import factories
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient
from tests.directory.imports.helpers import draft

pytestmark = pytest.mark.django_db

CALLERS: Final = ("anonymous", "other", "owner", "reader", "revoked", "deactivated", "admin")
NEVER: Final = "2099-01-01T00:00:00Z"
CAMPAIGN: Final = {"name": "New", "text": "New", "audience": {"tags": ["nobody"]}, "ends_at": NEVER}


def everyone(status: int) -> dict[str, int]:
    """Clients with a valid token."""
    return row(other=status, owner=status, reader=status, admin=status)


def row(*, other: int, owner: int, admin: int, reader: int = 403, anonymous: int = 401) -> dict[str, int]:
    """The status for each client. Revoked tokens and those of deactivated users count as none."""
    return {
        "anonymous": anonymous,
        "other": other,
        "owner": owner,
        "reader": reader,
        "revoked": anonymous,
        "deactivated": anonymous,
        "admin": admin,
    }


def changes(status: int, *, other: int | None = None) -> dict[str, int]:
    """For operations with a scope: that scope, or all but that scope."""
    return row(other=other or status, owner=status, admin=status)


OPEN: Final = dict.fromkeys(CALLERS, 0)

# By operation: the status for each client, and the request.
MATRIX: Final[dict[str, tuple[dict[str, int], Any]]] = {
    "create_user": (
        OPEN | dict.fromkeys(CALLERS, 201),
        {"email": "new@example.org", "password": factories.PASSWORD, "first_name": "New", "last_name": "User"},
    ),
    "list_users": (row(other=403, owner=403, admin=200), None),
    "show_me": (everyone(200), None),
    "show_user": (row(other=403, owner=200, reader=200, admin=200), None),
    "change_user": (changes(200, other=403), {"first_name": "Anna"}),
    "delete_user": (changes(204, other=403), None),
    "create_token": (
        OPEN | dict.fromkeys(CALLERS, 201),
        {"email": "bob@example.org", "password": factories.PASSWORD},
    ),
    "list_tokens": (everyone(200), None),
    "delete_token": (row(other=403, owner=204, admin=403), None),
    "list_contacts": (everyone(200), None),
    "create_contact": (changes(201), {"phone": "79161234567"}),
    "upsert_contacts": (changes(200), {"contacts": [{"phone": "79161234567"}]}),
    "read_contact": (everyone(200), None),
    "change_contact": (changes(200, other=403), {"first_name": "Anna"}),
    "delete_contact": (changes(204, other=403), None),
    "read_contact_data": (row(other=403, owner=200, reader=200, admin=200), None),
    "erase_contact": (changes(204, other=403), None),
    "export_contacts": (everyone(200), None),
    "create_bulk_action": (changes(201), {"action": "tag", "tag": "new", "filter": {}}),
    "show_bulk_action": (row(other=403, owner=200, reader=200, admin=200), None),
    "list_imports": (everyone(200), None),
    "create_import": (changes(422), {"url": "https://8.8.8.8/contacts.csv"}),  # files only
    "show_import": (row(other=403, owner=200, reader=200, admin=200), None),
    "change_import": (changes(200, other=403), {"has_header": True}),
    "delete_import": (changes(204, other=403), None),
    "start_import": (changes(200, other=403), {}),
    "stop_import": (changes(409, other=403), None),
    "undo_import": (changes(409, other=403), None),
    "list_rejected_rows": (row(other=403, owner=200, reader=200, admin=200), None),
    "list_tags": (everyone(200), None),
    "create_tag": (changes(201), {"name": "new"}),
    "change_tag": (changes(200, other=403), {"tone": "good"}),
    "merge_tag": (changes(200, other=403), {"into": "spare"}),
    "delete_tag": (changes(204, other=403), None),
    "list_audiences": (everyone(200), None),
    "create_audience": (changes(201), {"name": "New", "audience": {}}),
    "count_audience": (everyone(200), {}),
    "show_audience": (everyone(200), None),
    "change_audience": (changes(200, other=403), {"name": "Another"}),
    "delete_audience": (changes(204, other=403), None),
    "list_suppressions": (everyone(200), None),
    "create_suppression": (changes(201), {"phone": "79161234567"}),
    "create_suppressions": (changes(200), {"phones": ["79161234567"]}),
    "delete_suppression": (changes(204, other=403), None),
    "list_campaigns": (everyone(200), None),
    "create_campaign": (changes(201), CAMPAIGN),
    "preview_campaign": (everyone(200), CAMPAIGN),
    "show_campaign": (row(other=403, owner=200, reader=200, admin=200), None),
    "change_campaign": (changes(200, other=403), {"name": "Another"}),
    "delete_campaign": (changes(204, other=403), None),
    "pause_campaign": (changes(200, other=403), None),
    "resume_campaign": (changes(409, other=403), None),
    "cancel_campaign": (changes(200, other=403), None),
    "retry_failed": (changes(409, other=403), None),
    "settle_unknown": (changes(200, other=403), {"action": "sent"}),
    "test_campaign": (changes(202, other=403), {"phone": "79161234567"}),
    "duplicate_campaign": (changes(201, other=403), None),
    "show_campaign_stats": (row(other=403, owner=200, reader=200, admin=200), None),
    "export_messages": (row(other=403, owner=200, reader=200, admin=200), None),
    "list_messages": (row(other=403, owner=200, reader=200, admin=200), None),
    "list_incoming": (everyone(200), None),
    "show_timeline": (everyone(200), None),
    "send_message": (changes(202), {"phone": "79161234567", "text": "Your code is 4711."}),
    "show_message": (row(other=403, owner=200, reader=200, admin=200), None),
    "resend_message": (changes(202, other=403), None),
    "retry_message": (changes(202, other=403), None),
    "mark_message": (changes(200, other=403), {"status": "sent"}),
    "list_gateways": (row(other=403, owner=403, admin=200), None),
    "list_presets": (row(other=403, owner=403, admin=200), None),
    "create_gateway": (
        row(other=403, owner=403, admin=201),
        {"name": "second", "kind": "probe", "url": "https://8.8.8.8/v1"},
    ),
    "show_callback": (row(other=403, owner=403, admin=200), None),
    "show_gateway": (row(other=403, owner=403, admin=200), None),
    "change_gateway": (row(other=403, owner=403, admin=200), {"carries": []}),
    "delete_gateway": (row(other=403, owner=403, admin=409), None),
    "check_gateway": (row(other=403, owner=403, admin=200), None),
    "test_gateway": (row(other=403, owner=403, admin=200), {"phone": "79161234567"}),
    "list_exchanges": (row(other=403, owner=403, admin=200), None),
    "list_prices": (row(other=403, owner=403, admin=200), None),
    "set_prices": (
        row(other=403, owner=403, admin=200),
        [{"area": "KZ", "price": "2.50", "valid_from": "2026-01-01"}],
    ),
    "read_report": (everyone(200), None),
    "read_stats": (everyone(200), None),
    "list_changes": (row(other=403, owner=403, admin=200), None),
    "list_webhooks": (everyone(200), None),
    "create_webhook": (changes(201), {"url": "https://8.8.8.8/hook"}),
    # The gateway has its own key; no other client may call.
    "receive_receipt": (everyone(401), None),
    "receive_receipts": (everyone(401), {"id": 1, "status": "delivered"}),
    "delete_webhook": (row(other=403, owner=204, admin=403), None),
}


def operations() -> dict[str, tuple[str, str]]:
    """Method and path of every operation of the API, documented or not."""
    return {
        api.get_openapi_operation_id(operation): (method, re.sub(r"\{path:", "{", f"{router.prefix}{path}"))
        for router in api._get_bound_routers()
        for path, view in router.path_operations.items()
        for operation in view.operations
        for method in operation.methods
    }


def test_every_operation_has_a_row() -> None:
    assert set(operations()) == set(MATRIX)


@pytest.fixture
def places(alice: User) -> dict[str, int | str]:
    """Alice's objects for each path parameter."""
    campaign, run = started(alice, contacts=2)
    message = settle(run, 1, MessageStatus.UNKNOWN, "quarantined")[0]
    contact = alice.contacts.earliest("pk")
    contact.tags.add(Tag.objects.create(name="best"), Tag.objects.create(name="spare"))
    suppress([79160000001], by=alice)
    return {
        "user_id": alice.pk,
        "token_id": ApiToken.issue(alice)[0].pk,
        "contact_id": contact.pk,
        "phone": 79160000001,
        "tag": "best",
        "import_id": draft(alice, "phone,first_name\n79161112233,Anna\n").pk,
        "action_id": bulk_start(by=alice, kind=BulkActionType.TAG, tag="best", ids=[contact.pk]).pk,
        "audience_id": audience_save(by=alice, name="Best", audience=Audience()).pk,
        "campaign_id": campaign.pk,
        "gateway": settings.GATEWAY,
        "name": settings.GATEWAY,
        "message_id": message.pk,
        "webhook_id": Webhook.objects.create(owner=alice, url="https://8.8.8.8/", events=EventType.values).pk,
    }


@pytest.fixture
def client_of(alice: User, bob: User, admin: User) -> Callable[[str], ApiClient]:
    """A client of each caller."""

    def make(caller: str) -> ApiClient:
        users = {"owner": alice, "revoked": alice, "reader": alice, "other": bob, "admin": admin}
        if caller == "anonymous":
            return ApiClient()
        user = users.get(caller) or factories.user("gone@example.org")
        scopes = [Scope.READ] if caller == "reader" else Scope.values
        token, secret = ApiToken.issue(user, scopes=scopes)
        if caller == "revoked":
            ApiToken.objects.filter(pk=token.pk).update(revoked_at=token.created_at)
        if caller == "deactivated":
            User.objects.filter(pk=user.pk).update(is_active=False)
        client = ApiClient()
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
        return client

    return make


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("operation", MATRIX)
def test_permissions_are_as_in_the_matrix(
    operation: str, caller: str, places: dict[str, int | str], client_of: Callable[[str], ApiClient]
) -> None:
    method, path = operations()[operation]
    expected, body = MATRIX[operation]
    sent = () if body is None else (json.dumps(body), "application/json")
    answer: Any = client_of(caller).generic(method, path.format(**places), *sent)
    assert answer.status_code == expected[caller], answer.content
    if answer.status_code >= 400:
        assert answer.json()["detail"]
