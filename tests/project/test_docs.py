"""The API's documentation, which must work without internet access."""

import re

import pytest
from django.test import Client
from django.urls import reverse


@pytest.mark.django_db
def test_the_page_loads_nothing_from_other_hosts(client: Client) -> None:
    answer = client.get(reverse("docs"))
    assert answer.status_code == 200
    page = answer.content.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any("swagger-ui" in address for address in loaded)
    assert not [address for address in loaded if re.match(r"(?:\w+:)?//", address)]


@pytest.mark.django_db
def test_the_page_has_no_inline_script(client: Client) -> None:
    page = client.get(reverse("docs")).content.decode()
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert scripts
    assert not [body for kind, body in scripts if body.strip() and "application/json" not in kind]


@pytest.mark.django_db
def test_the_description_of_the_api_is_served(client: Client) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    description = answer.json()
    assert description["openapi"].startswith("3.")
    assert {"/api/v1/contacts", "/api/v1/campaigns", "/api/v1/tokens"} <= set(description["paths"])
