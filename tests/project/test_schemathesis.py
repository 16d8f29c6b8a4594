"""Thousands of generated requests from the API's own description: every answer is documented."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from hypothesis import Phase as HypothesisPhase
from pytest_django import Settings

from accounts.models import ApiToken, User
from tests import factories

# To run more: API_EXAMPLES=1000 pytest tests/project/test_schemathesis.py
EXAMPLES = int(os.environ.get("API_EXAMPLES", "4"))

pytestmark = pytest.mark.django_db


@pytest.fixture
def token(admin: User, settings: Settings) -> Iterator[str]:
    """The token of a user with all permissions and some data."""
    settings.ACCOUNT_RATE_LIMITS = False  # only this test signs up so many users per minute
    factories.contact(admin, tags=("vip",))
    factories.campaign(admin, draft=True)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # the test's transaction is in this one
    mine, secret = ApiToken.issue(admin)
    ApiToken.objects.filter(pk=mine.pk).update(id=2**60)  # so that no request revokes it by chance
    yield secret
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


# Rules beyond schemas (duplicate campaigns, versions, end after start) are answered by 409, 412 and 422.
# A stale version is reported before errors in the body.
RULES = {
    "positive_data_acceptance": {"expected-statuses": ["2xx", 403, 404, 409, 412, 422]},
    "negative_data_rejection": {
        "expected-statuses": [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429, "5xx"]
    },
}
# Bulk operations accept invalid rows and report each by index.
BY_ROW = {
    "include-operation-id": ["upsert_contacts", "create_suppressions"],
    "checks": {"negative_data_rejection": {"enabled": False}},
}
# Schemas do not describe gateway keys and receipt formats.
BY_KEY = {"include-tag": "callbacks", "checks": {"positive_data_acceptance": {"enabled": False}}}
# Nor passwords.
BY_PASSWORD = {
    "include-operation-id": "create_token",
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 401, 422]}},
}
CONFIG = schemathesis.Config.from_dict({"checks": RULES, "operations": [BY_ROW, BY_KEY, BY_PASSWORD]})
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application(), config=CONFIG)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[HypothesisPhase.explicit, HypothesisPhase.generate],
)
def test_every_answer_is_as_described(case: schemathesis.Case[Any], token: str) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {token}"})
