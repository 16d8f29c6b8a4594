from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from campaigns.models import Campaign
from directory import saved
from directory.audience import Audience
from directory.models import Contact, LastWritten, SavedAudience
from directory.saved import audience_number, audience_reach, audience_save
from directory.templatetags.directory import left_out
from project.http import Conflict
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
    LastWritten.objects.create(contact=anna, at=now() - timedelta(days=3))
    LastWritten.objects.create(contact=boris, at=now() - timedelta(days=40))


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
    picks = Audience.from_json(audience)
    assert sorted(Contact.objects.matching(picks).values_list("first_name", flat=True)) == names
    assert audience_number(picks) == len(names)
    assert picks == Audience.from_json(picks.to_json())


def test_an_audience_of_the_contract_reads_as_it_always_has() -> None:
    known = {"operator_codes": ["903"], "tags": ["vip"], "tags_match": "all", "timezones": []}
    assert Audience.from_json(known).to_json() == known


@pytest.mark.usefixtures("directory")
def test_the_reach_leaves_out_who_must_not_be_written_to(alice: User) -> None:
    Contact.objects.filter(first_name="Boris").update(opted_out=True)
    reach = audience_reach(Audience(tags=("vip",)))
    assert (reach.number, reach.opted_out, [contact.first_name for contact in reach.sample]) == (1, 1, ["Anna"])
    assert audience_reach(Audience(tags=("nobody-has-it",))).opted_out == 0


@pytest.mark.usefixtures("directory")
def test_who_opted_out_is_counted_up_to_a_number_and_told(alice: User, client: Client, monkeypatch: Any) -> None:
    Contact.objects.update(opted_out=True)
    client.force_login(alice)
    assert "3 others opted out and are left out." in client.get("/contacts/audiences/new/").content.decode()
    monkeypatch.setattr(saved, "MOST_COUNTED", 1)
    assert audience_reach(Audience()).opted_out == 2
    assert left_out(10_001).startswith("More than 10")


def test_only_who_saved_it_or_an_administrator_changes_it(alice: User, bob: User, admin: User) -> None:
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
    assert composer.context["outlook"].spread.number == 1
    assert composer.context["form"].audience() == saved.picks
    assert client.post(f"/contacts/audiences/{saved.pk}/delete/").status_code == 302
    assert not SavedAudience.objects.exists()


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"name": ""}, "name"),
        ({"written": "within"}, "written_days"),
        ({"written": "within", "written_days": "0"}, "written_days"),
        ({"written": "sometimes"}, "written"),
        ({"tags": "nobody-has-it"}, "tags"),
        ({"attribute_1": "two words", "attribute_1_match": "exists"}, "attribute_1"),
        ({"attribute_1": "", "attribute_1_value": "x"}, "attribute_1"),
        ({"attribute_1_match": "like"}, "attribute_1_match"),
    ],
    ids=str,
)
def test_what_can_not_be_read_is_told_beside_its_field(client: Client, alice: User, sent: Any, field: str) -> None:
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
        "operator_codes": [], "tags": ["vip"], "tags_match": "any", "timezones": [], "tags_none": ["bad"],
    }  # fmt: skip
    never = create(written={"when": "never"}, attributes=[{"name": "gold", "match": "exists"}]).json()
    assert never["audience"]["written"] == {"when": "never", "days": 0}
    assert Campaign.objects.get(pk=never["id"]).picks.attributes[0].name == "gold"
    assert create().json()["audience"] == {"operator_codes": [], "tags": [], "tags_match": "any", "timezones": []}
    for wrong in ({"saved": 10**9}, {"written": {"when": "within"}}, {"attributes": [{"name": ""}]}):
        assert create(**wrong).status_code == 422, wrong
