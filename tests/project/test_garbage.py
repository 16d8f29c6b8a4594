"""Every call of the API answers strange bodies and parameters with 2xx, or 4xx and a `detail`."""

import json
from typing import Any, Final

import pytest
from django.db import transaction

from accounts.models import User
from project.api import api
from tests.campaigns.api.test_garbage import HUGE, STRANGE, assert_explained
from tests.conftest import ApiClient
from tests.project.test_permissions import MATRIX, operations, places  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

SCHEMA: Final[dict[str, Any]] = api.get_openapi_schema()
DESCRIBED: Final = {
    operation["operationId"]: operation for path in SCHEMA["paths"].values() for operation in path.values()
}
NEW: Final = (
    "bulk_action",
    "suppression",
    "tag",
    "audience",
    "gateway",
    "import",
    "report",
    "changes",
    "export",
    "incoming",
    "timeline",
)
OPERATIONS: Final = [name for name in DESCRIBED if any(part in name for part in NEW) and name != "check_gateway"]
TEXTS: Final = ["", " ", "\0", "-1", "0", "501", str(2**63), HUGE, "٣", "%", "'", "☃", "null", "[]", "1e999"]


def request(client: ApiClient, method: str, path: str, *sent: str) -> Any:
    """Send a request, and undo what it did."""
    with transaction.atomic():
        answer = client.generic(method, path, *sent)
        transaction.set_rollback(True)
    return answer


@pytest.fixture
def client(admin: User) -> ApiClient:
    client = ApiClient(admin)
    client.raise_request_exception = False
    return client


def _fields(operation: str) -> list[str]:
    """The fields of the body, and one that is unknown."""
    content = DESCRIBED[operation].get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
    return [*SCHEMA["components"]["schemas"][name].get("properties", {}), "no_such_field"] if name else []


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if _fields(name)])
def test_strange_bodies_are_handled(operation: str, client: ApiClient, places: dict[str, Any]) -> None:  # noqa: F811
    method, path = operations()[operation]
    for field in _fields(operation):
        for value in [*STRANGE, *([value] for value in STRANGE)]:
            body = json.dumps({**MATRIX[operation][1], field: value})
            answer = request(client, method, path.format(**places), body, "application/json")
            assert_explained(answer, {200, 201, 204, 400, 404, 409, 412, 422}, (field, value))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_strange_parameters_are_handled(operation: str, client: ApiClient, places: dict[str, Any]) -> None:  # noqa: F811
    method, path = operations()[operation]
    for parameter in DESCRIBED[operation]["parameters"]:
        for text in TEXTS:
            if parameter["in"] == "query" and method == "GET":
                answer: Any = client.get(path.format(**places), {parameter["name"]: text})
            elif parameter["in"] == "path" and "\0" not in text:
                values = {**places, parameter["name"]: text.replace("%", "%25")}
                answer = request(client, method, path.format(**values))
            else:
                continue
            assert answer.status_code in range(200, 300) or answer.status_code in range(400, 500), (parameter, text)
