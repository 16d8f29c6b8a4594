"""The description of the API: complete, fit for generated clients, with examples that work."""

import json
import re
from typing import Any

import pytest

from accounts.models import User
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from directory.models import Contact, Tag
from project.api import api
from tests import factories
from tests.conftest import ApiClient
from tests.directory.imports.helpers import draft

SCHEMA: dict[str, Any] = api.get_openapi_schema()
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
}
DEFINITIONS: dict[str, Any] = SCHEMA["components"]["schemas"]


def test_every_field_is_described() -> None:
    fields = {
        f"{name}.{field}": properties
        for name, schema in DEFINITIONS.items()
        for field, properties in schema.get("properties", {}).items()
    }
    assert len(fields) > 100
    assert [name for name, properties in fields.items() if not properties.get("description")] == []


def test_every_operation_is_described_under_a_tag_that_is() -> None:
    tags = [tag["name"] for tag in SCHEMA["tags"]]
    for method, path, operation in OPERATIONS.values():
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert set(operation["tags"]) <= set(tags), (method, path)


def test_every_operation_documents_common_errors() -> None:
    for method, path, operation in OPERATIONS.values():
        expected = {"429"} | ({"401", "403", "422"} if operation["security"] else set())
        expected |= {"400", "413", "422"} if "requestBody" in operation else set()
        assert expected <= operation["responses"].keys(), (method, path)
        assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_names_are_fit_for_clients() -> None:
    assert all(name.isidentifier() and name.islower() for name in OPERATIONS)
    assert all(name.isalnum() for name in DEFINITIONS)


def _with_example() -> list[str]:
    """Operations with a JSON body; files have no example."""
    bodies = {name: definition.get("requestBody", {}) for name, (_, _, definition) in OPERATIONS.items()}
    return [name for name, body in bodies.items() if "application/json" in body.get("content", {})]


@pytest.mark.django_db
@pytest.mark.parametrize("operation", [name for name in _with_example() if name != "mark_message"])
def test_examples_work_as_they_are(operation: str, admin: User) -> None:
    method, path, definition = OPERATIONS[operation]
    schema_name = definition["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    anna = factories.user("anna@example.org")
    anna.set_password("vestnik-demo")
    anna.save()
    Tag.objects.get_or_create(name="loyal")
    places = {
        "user_id": admin.pk,
        "contact_id": factories.contact(admin, phone=79031112233).pk,
        "import_id": draft(admin, "phone,first_name\n79161112233,Anna\n").pk,
        "tag": Tag.objects.create(name="best").name,
        "audience_id": audience_save(by=admin, name="Best", audience=Audience()).pk,
        "campaign_id": factories.campaign(admin).pk,
        "name": "probe",
    }
    for example in DEFINITIONS[schema_name]["examples"]:
        sent = getattr(ApiClient(admin), method)(
            path.removeprefix("/api/v1").format(**places), example, content_type="application/json"
        )
        # A new campaign has no unknown messages.
        assert sent.status_code in ((409,) if operation == "settle_unknown" else (200, 201, 202)), sent.content
        Contact.objects.filter(phone=79991234567).delete()


def test_open_operations_are_marked_and_nothing_unused_is_listed() -> None:
    opened = {operation for operation, (_, _, definition) in OPERATIONS.items() if definition["security"] == []}
    assert opened == {"create_user", "create_token"}
    assert "servers" not in SCHEMA
    referred = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(SCHEMA)))
    assert referred == DEFINITIONS.keys()


def test_every_integer_has_64_bits() -> None:
    text = json.dumps(SCHEMA)
    assert text.count('"type": "integer"') == len(re.findall(r'"format": "int64"', text)) > 50


def test_defaults_do_not_make_request_fields_required() -> None:
    audience = DEFINITIONS["AudienceIn"]
    assert "default" not in audience["properties"]["tags_match"]
    assert '(default: `"any"`)' in audience["properties"]["tags_match"]["description"]
    bodies = [definition["requestBody"] for _, _, definition in OPERATIONS.values() if "requestBody" in definition]
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(bodies)))
    assert [name for name in names if '"default"' in json.dumps(DEFINITIONS[name])] == []


def test_a_conflict_is_described_and_no_key_is_prefilled() -> None:
    conflicts = [
        definition["responses"]["409"] for _, _, definition in OPERATIONS.values() if "409" in definition["responses"]
    ]
    assert len(conflicts) > 10
    assert all("Idempotency-Key" in each["description"] for each in conflicts)
    keys = [
        each for _, _, definition in OPERATIONS.values() for each in definition["parameters"] if each["in"] == "header"
    ]
    assert any(key["name"] == "Idempotency-Key" for key in keys)
    assert not [key for key in keys if {"example", "examples", "default"} & (key.keys() | key["schema"].keys())]


@pytest.mark.django_db
def test_head_is_answered_like_get_and_changes_nothing(alice: User) -> None:
    contact, client = factories.contact(alice), ApiClient(alice)
    for path in ("/contacts", f"/contacts/{contact.pk}", "/stats", "/contacts/999999"):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert client.head("/callbacks/default").status_code == 405
    assert ApiClient().head("/contacts").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["limit=1&limit=2", "q=a&q=b", "phone=79991234567&phone=79991234567"])
def test_a_parameter_that_is_given_twice_is_refused(alice: User, query: str) -> None:
    answer = ApiClient(alice).get(f"/contacts?{query}")
    assert (answer.status_code, answer.json()["detail"][0]["msg"]) == (422, "This parameter is given more than once.")
