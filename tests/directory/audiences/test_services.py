from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from campaigns.models import Campaign
from directory.audiences import services as saved
from directory.audiences.audience import Audience
from directory.audiences.services import audience_distribution, audience_reach, audience_save, audience_size
from directory.models import Contact, LastContacted, SavedAudience
from directory.templatetags.directory import opted_out_words
from project.http.errors import Conflict
from tests import factories
from tests.conftest import ApiClient

BUILT = {
    "name": "Omsk",
    "tags_match": "any",
    "attribute_1": "city",
    "attribute_1_match": "equals",
    "attribute_1_value": "омск",
}


@pytest.fixture
def directory(alice: User) -> None:
    anna = factories.contact(alice, first_name="Anna", tags=("vip",), attributes={"city": "Омск", "points": 12})
    boris = factories.contact(alice, first_name="Boris", tags=("vip", "bad"), attributes={"city": "Москва"})
    factories.contact(alice, first_name="Vera", attributes={"gold": True})
    LastContacted.objects.create(contact=anna, at=now() - timedelta(days=3))
    LastContacted.objects.create(contact=boris, at=now() - timedelta(days=40))


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("audience", "names"),
    [
        ({"tags_none": ["Bad"]}, ["Anna", "Vera"]),
        ({"tags": ["vip"], "tags_none": ["bad"]}, ["Anna"]),
        ({"tags_none": ["nobody"]}, ["Anna", "Boris", "Vera"]),
        ({"attributes": [{"name": "city", "match": "equals", "value": "ОМСК"}]}, ["Anna"]),
        ({"attributes": [{"name": "city", "match": "contains", "value": "МОС"}]}, ["Boris"]),
        ({"attributes": [{"name": "city", "match": "contains", "value": "."}]}, []),
        ({"attributes": [{"name": "city", "match": "exists"}]}, ["Anna", "Boris"]),
        ({"attributes": [{"name": "points", "match": "equals", "value": "12"}]}, ["Anna"]),
        ({"attributes": [{"name": "no'such", "match": "exists"}]}, []),
        ({"written": {"when": "never"}}, ["Vera"]),
        ({"written": {"when": "within", "days": 30}}, ["Anna"]),
        ({"written": {"when": "not_within", "days": 30}}, ["Boris", "Vera"]),
        ({"written": {"when": "not_within", "days": 30}, "tags": ["vip"]}, ["Boris"]),
    ],
    ids=str,
)
def test_further_conditions(audience: dict[str, Any], names: list[str]) -> None:
    audience_filter = Audience.from_json(audience)
    assert sorted(Contact.objects.matching(audience_filter).values_list("first_name", flat=True)) == names
    assert audience_size(audience_filter) == len(names)
    assert audience_filter == Audience.from_json(audience_filter.to_json())


@pytest.mark.parametrize(
    ("countries", "names"),
    [
        (["KZ"], ["Aliya"]),
        (["RU", "UA"], ["Anna", "Taras"]),
        (["DE"], []),
        ([], ["Aliya", "Anna", "Taras"]),
    ],
)
def test_an_audience_by_country_is_counted_and_matched_alike(
    alice: User, countries: list[str], names: list[str]
) -> None:
    for name, phone in (("Anna", 79161234567), ("Aliya", 77011234567), ("Taras", 380501234567)):
        factories.contact(alice, first_name=name, phone=phone)
    audience_filter = Audience.from_json({"countries": countries})
    contacts = Contact.objects.contactable().matching(audience_filter)
    assert sorted(contacts.values_list("first_name", flat=True)) == names
    assert audience_size(audience_filter) == audience_reach(audience_filter).number == len(names)
    distribution = audience_distribution(audience_filter)
    assert sum(number for _code, number in distribution.countries) == distribution.number == len(names)
    assert {code for code, _number in distribution.countries} == {contact.country for contact in contacts}


def test_audience_json_is_stable() -> None:
    known = {"operator_codes": ["903"], "tags": ["vip"], "tags_match": "all", "timezones": []}
    assert Audience.from_json(known).to_json() == known
    assert Audience.from_json({**known, "countries": []}).to_json() == known


@pytest.mark.usefixtures("directory")
def test_reach_excludes_contacts_that_must_not_be_contacted(alice: User) -> None:
    Contact.objects.filter(first_name="Boris").update(opted_out=True)
    reach = audience_reach(Audience(tags=("vip",)))
    assert (reach.number, reach.opted_out, [contact.first_name for contact in reach.sample]) == (1, 1, ["Anna"])
    assert audience_reach(Audience(tags=("nobody-has-it",))).opted_out == 0


@pytest.mark.usefixtures("directory")
def test_opted_out_contacts_are_counted_up_to_a_limit(alice: User, client: Client, monkeypatch: Any) -> None:
    Contact.objects.update(opted_out=True)
    client.force_login(alice)
    assert (
        "3 other contacts have opted out and are excluded." in client.get("/contacts/audiences/new/").content.decode()
    )
    monkeypatch.setattr(saved, "MAX_COUNTED", 1)
    assert audience_reach(Audience()).opted_out == 2
    assert opted_out_words(10_001).startswith("More than 10")


def test_only_owner_and_administrators_change_an_audience(alice: User, bob: User, admin: User) -> None:
    saved = audience_save(by=alice, name="All", audience=Audience())
    with pytest.raises(PermissionDenied):
        audience_save(by=bob, name="Mine", audience=Audience(), saved=saved)
    with pytest.raises(Conflict):
        audience_save(by=bob, name="All", audience=Audience())
    assert audience_save(by=admin, name="Everyone", audience=Audience(), saved=saved).owner == alice


@pytest.mark.usefixtures("directory")
def test_an_audience_is_built_counted_saved_used_and_deleted(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert "No saved audiences yet" in client.get("/contacts/audiences/").content.decode()
    counted = client.post("/contacts/audiences/count/", BUILT, headers={"HX-Request": "true"}).content.decode()
    assert "1 contact" in counted
    assert "Anna" in counted
    assert not SavedAudience.objects.exists()
    assert client.post("/contacts/audiences/new/", BUILT).status_code == 302
    saved = SavedAudience.objects.get()
    page = client.get(f"/contacts/audiences/{saved.pk}/").content.decode()
    assert 'value="омск"' in page
    composer = client.get("/campaigns/new/", {"audience": saved.pk})
    assert composer.context["forecast"].distribution.number == 1
    assert composer.context["form"].audience() == saved.audience_filter
    assert client.post(f"/contacts/audiences/{saved.pk}/delete/").status_code == 302
    assert not SavedAudience.objects.exists()


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"name": ""}, "name"),
        ({"written": "within"}, "last_contacted_days"),
        ({"written": "within", "written_days": "0"}, "last_contacted_days"),
        ({"written": "sometimes"}, "last_contacted"),
        ({"tags": "nobody-has-it"}, "tags"),
        ({"attribute_1": "two words", "attribute_1_match": "exists"}, "attribute_1"),
        ({"attribute_1": "", "attribute_1_value": "x"}, "attribute_1"),
        ({"attribute_1_match": "like"}, "attribute_1_match"),
    ],
    ids=str,
)
def test_invalid_input_shows_field_errors(client: Client, alice: User, sent: Any, field: str) -> None:
    client.force_login(alice)
    answer = client.post("/contacts/audiences/new/", {**BUILT, **sent})
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert client.post("/contacts/audiences/count/", {**BUILT, **sent}).status_code == 200


@pytest.mark.usefixtures("directory")
def test_the_api_takes_further_conditions_and_the_id_of_a_saved_audience(alice: User) -> None:
    saved = audience_save(by=alice, name="Omsk", audience=Audience.from_json({"tags": ["vip"], "tags_none": ["bad"]}))
    api = ApiClient(alice)
    body = {"name": "A", "text": "T", "ends_at": (now() + timedelta(days=1)).isoformat()}

    def create(**audience: Any) -> Any:
        return api.post("/campaigns", {**body, "audience": audience}, content_type="application/json")

    made = create(saved=saved.pk)
    assert made.status_code == 201
    assert made.json()["audience"] == {
        "operator_codes": [], "tags": ["vip"], "tags_match": "any", "timezones": [], "countries": [],
        "tags_none": ["bad"],
    }  # fmt: skip
    never = create(written={"when": "never"}, attributes=[{"name": "gold", "match": "exists"}]).json()
    assert never["audience"]["written"] == {"when": "never", "days": 0}
    assert Campaign.objects.get(pk=never["id"]).audience_filter.attributes[0].name == "gold"
    assert create().json()["audience"] == {
        "operator_codes": [], "tags": [], "tags_match": "any", "timezones": [], "countries": [],
    }  # fmt: skip
    for wrong in ({"saved": 10**9}, {"written": {"when": "within"}}, {"attributes": [{"name": ""}]}):
        assert create(**wrong).status_code == 422, wrong
