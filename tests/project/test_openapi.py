"""The description of the API: complete, fit for generated clients, with examples that work."""

from typing import Any

import pytest

from accounts.models import User
from directory.models import Contact
from project.api import api
from tests import factories
from tests.conftest import ApiClient

SCHEMA: dict[str, Any] = api.get_openapi_schema()
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
}
DEFINITIONS: dict[str, Any] = SCHEMA["components"]["schemas"]


def test_every_field_is_described() -> None:
    fields = {
        f"{name}.{field}": told
        for name, schema in DEFINITIONS.items()
        for field, told in schema.get("properties", {}).items()
    }
    assert len(fields) > 100
    assert [name for name, told in fields.items() if not told.get("description")] == []


def test_every_operation_is_described_under_a_tag_that_is() -> None:
    tags = [tag["name"] for tag in SCHEMA["tags"]]
    for method, path, operation in OPERATIONS.values():
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert set(operation["tags"]) <= set(tags), (method, path)


def test_every_operation_tells_the_errors_that_any_may_answer() -> None:
    for method, path, operation in OPERATIONS.values():
        expected = {"429"} | ({"401", "403", "422"} if "security" in operation else set())
        expected |= {"400", "413", "422"} if "requestBody" in operation else set()
        assert expected <= operation["responses"].keys(), (method, path)
        assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_names_are_fit_for_clients() -> None:
    assert all(name.isidentifier() and name.islower() for name in OPERATIONS)
    assert all(name.isalnum() for name in DEFINITIONS)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "operation",
    [name for name, (_, _, told) in OPERATIONS.items() if "requestBody" in told and name != "mark_message"],
)
def test_its_example_works_as_it_stands(operation: str, admin: User) -> None:
    method, path, told = OPERATIONS[operation]
    definition = told["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    anna = factories.user("anna@example.org")
    anna.set_password("vestnik-demo")
    anna.save()
    places = {
        "user_id": admin.pk,
        "contact_id": factories.contact(admin, phone=79031112233).pk,
        "campaign_id": factories.campaign(admin).pk,
    }
    for example in DEFINITIONS[definition]["examples"]:
        sent = getattr(ApiClient(admin), method)(
            path.removeprefix("/api/v1").format(**places), example, content_type="application/json"
        )
        # Nothing is unknown in a fresh campaign.
        assert sent.status_code in ((409,) if operation == "settle_unknown" else (200, 201, 202)), sent.content
        Contact.objects.filter(phone=79991234567).delete()
