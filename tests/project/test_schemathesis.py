"""Thousands of strange requests, made from the API's own description: no answer that it does not tell of."""

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

# By hand: API_EXAMPLES=1000 pytest tests/project/test_schemathesis.py
EXAMPLES = int(os.environ.get("API_EXAMPLES", "4"))

pytestmark = pytest.mark.django_db


@pytest.fixture
def token(admin: User, settings: Settings) -> Iterator[str]:
    """Of somebody who may do everything, with something there to be found."""
    settings.ACCOUNT_RATE_LIMITS = False  # so many users sign up nowhere else in a minute
    factories.contact(admin, tags=("vip",))
    factories.campaign(admin, draft=True)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # the test's transaction is in this one
    mine, secret = ApiToken.issue(admin)
    ApiToken.objects.filter(pk=mine.pk).update(id=2**60)  # nobody revokes it by chance
    yield secret
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


# What no schema can say (no twin campaign, the end after the start) is answered by 409 and 422.
RULES = {"positive_data_acceptance": {"expected-statuses": ["2xx", 403, 404, 409, 422]}}
# The bulk call takes a list with bad rows, and tells of each by its index.
BY_ROW = {"include-operation-id": "upsert_contacts", "checks": {"negative_data_rejection": {"enabled": False}}}
# No schema knows a gateway's key, nor the form that each has for its receipts.
BY_KEY = {"include-tag": "callbacks", "checks": {"positive_data_acceptance": {"enabled": False}}}
# Nor who has which password.
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
