import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client

from accounts.models import User
from campaigns.models import Campaign
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from directory.bulk_actions.work import bulk_start
from directory.models import BulkActionType, Contact, SavedAudience, Tag
from directory.tags.services import tag_update, tags_with_counts
from project.http.errors import Conflict
from tests import factories


def test_renaming_updates_saved_audiences_and_unfinished_campaigns(alice: User) -> None:
    factories.contact(alice, tags=("vip",))
    audience_filter = Audience(tags=("vip",), tags_none=("bad",))
    saved = audience_save(by=alice, name="VIPs", audience=audience_filter)
    campaign, over = (
        factories.campaign(alice, audience=audience_filter),
        factories.campaign(alice, audience=audience_filter),
    )
    Campaign.objects.filter(pk=over.pk).update(status="finished")
    tag_update(tag=Tag.objects.get(name="vip"), by=alice, name=" Gold ", tone="good")
    assert SavedAudience.objects.get(pk=saved.pk).audience_filter.tags == ("gold",)
    assert Campaign.objects.get(pk=campaign.pk).audience_filter == Audience(tags=("gold",), tags_none=("bad",))
    assert Campaign.objects.get(pk=over.pk).audience_filter == audience_filter
    assert Contact.objects.matching(Campaign.objects.get(pk=campaign.pk).audience_filter).count() == 1


def test_merging_updates_audiences_without_duplicates(admin: User) -> None:
    factories.contact(admin, tags=("a",))
    factories.contact(admin, tags=("b",))
    first = factories.campaign(admin, text="Same", audience=Audience(tags=("a",)))
    second = factories.campaign(admin, text="Same", audience=Audience(tags=("b",)))
    third = factories.campaign(admin, audience=Audience(tags=("a", "b")))
    bulk_start(by=admin, kind=BulkActionType.MERGE, tag="a", into="b", filters={"tags": ["a"]})
    assert [Campaign.objects.get(pk=row.pk).audience_filter.tags for row in (first, second, third)] == [
        ("a",),
        ("b",),
        ("b",),
    ]
    assert {str(tag): vars(tag)["number"] for tag in tags_with_counts()} == {"b": 2}


def test_who_may_change_a_tag(alice: User, bob: User, admin: User) -> None:
    factories.contact(alice, tags=("mine", "ours"))
    factories.contact(bob, tags=("ours",))
    mine, ours = Tag.objects.get(name="mine"), Tag.objects.get(name="ours")
    tag_update(tag=mine, by=alice, name="mine", tone="bad")
    with pytest.raises(PermissionDenied):
        tag_update(tag=ours, by=alice, name="theirs", tone="")
    tag_update(tag=ours, by=admin, name="all", tone="")


def test_invalid_or_taken_names_and_unknown_colours_are_refused(alice: User) -> None:
    factories.contact(alice, tags=("a", "b"))
    tag = Tag.objects.get(name="a")
    with pytest.raises(Conflict):
        tag_update(tag=tag, by=alice, name="B", tone="")
    for name, tone in (("", ""), ("a,b", ""), ("x" * 51, ""), ("a", "pink")):
        with pytest.raises(ValidationError):
            tag_update(tag=tag, by=alice, name=name, tone=tone)


def test_the_pages_of_tags(client: Client, alice: User, bob: User) -> None:
    client.force_login(alice)
    assert "No tags yet" in client.get("/contacts/tags/").content.decode()
    factories.contact(alice, tags=("a", "b"))
    factories.contact(bob, tags=("b",))
    a, b = Tag.objects.get(name="a"), Tag.objects.get(name="b")
    assert 'class="num">2</td>' in client.get("/contacts/tags/").content.decode()
    assert "only an administrator can change it" in client.get(f"/contacts/tags/{b.pk}/").content.decode()
    assert client.post(f"/contacts/tags/{b.pk}/", {"name": "c"}).status_code == 403
    assert client.post(f"/contacts/tags/{b.pk}/delete/").status_code == 403
    for name in ("b", "", "\0", "x" * 500):
        assert client.post(f"/contacts/tags/{a.pk}/", {"name": name, "tone": "good"}).status_code == 422
    assert client.post(f"/contacts/tags/{a.pk}/", {"name": "c", "tone": "good"}).status_code == 302
    assert '<a class="chip good"' in client.get("/contacts/tags/").content.decode()
    assert client.post(f"/contacts/tags/{a.pk}/merge/", {"into": "nothing"}).status_code == 404
    assert client.post(f"/contacts/tags/{a.pk}/merge/", {"into": "b"}).status_code == 302
    assert not Tag.objects.filter(pk=a.pk).exists()
