"""Invalid placeholders, and those without a value for any contact, are refused with their position; case is ignored."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils.timezone import now

from accounts.models import User
from campaigns.messages.transactional import message_send
from campaigns.models import Campaign
from campaigns.pages.forecast import forecast_of
from campaigns.placeholders import check_placeholders
from campaigns.planning.preview import campaign_preview
from campaigns.services import campaign_launch, campaign_pause, campaign_test
from campaigns.text import malformed, render, values_of
from directory.audiences.audience import Audience
from tests import factories
from tests.campaigns.browser_client import browser
from tests.campaigns.outcomes import started
from tests.conftest import ApiClient

EVERYONE = Audience()


@pytest.mark.parametrize(
    ("text", "kind", "position"),
    [
        ("Hi {first_name|friend, sale", "unclosed", 4),
        ("Hi {first_name", "unclosed", 4),
        ("Hi {", "unclosed", 4),
        ("{first name}", "unreadable", 1),
        ("{}", "unreadable", 1),
        ("{ first_name }", "unreadable", 1),
        ("{1st}", "unreadable", 1),
        ("{first-name}", "unreadable", 1),
        ("{|x}", "unreadable", 1),
        ("{first_name|{phone}}", "nested", 1),
        ("{{first_name}}", "nested", 1),
        ("{first_name|a {phone}", "nested", 1),
        ("{first_name}}", "unopened", 13),
        ("a } {first_name}", "unopened", 3),
        ("Имя {first_name}, {город", "unclosed", 19),
    ],
)
def test_a_brace_outside_a_placeholder_is_found(text: str, kind: str, position: int) -> None:
    problem = malformed(text)
    assert problem
    assert (problem.kind, problem.position) == (kind, position)


@pytest.mark.parametrize("text", ["", "no braces", "{first_name}", "{first_name|}", "{a|b c, d | e}{b}", "{город|—}"])
def test_valid_placeholders_are_no_problem(text: str) -> None:
    assert malformed(text) is None


def test_names_match_without_regard_to_case() -> None:
    values = values_of(first_name="Anna", last_name="", phone=7, attributes={"Bonus": 5, "Город": "Омск"})
    assert render("{First_Name} {bonus} {ГОРОД} {PHONE} {nick|x}", values) == "Anna 5 Омск 7 x"
    both = values_of(first_name="", last_name="", phone=7, attributes={"Bonus": 5, "bonus": 6})
    assert render("{bonus} {Bonus}", both) == "6 5"


def test_messages_are_rendered_without_regard_to_case(alice: User) -> None:
    factories.contact(alice, first_name="Anna", attributes={"Bonus": 5})
    found = campaign_preview(text="{FIRST_NAME} {bonus}", audience=EVERYONE)
    assert found.samples[0].text == "Anna 5"
    assert found.gaps == []


def refusal(text: str, audience: Audience = EVERYONE) -> str:
    with pytest.raises(ValidationError) as caught:
        check_placeholders(text, audience)
    assert list(caught.value.message_dict) == ["text"]
    return " ".join(caught.value.messages)


@pytest.mark.django_db
def test_the_error_has_the_position_and_a_similar_name(alice: User) -> None:
    factories.contact(alice, attributes={"Bonus": 5})
    assert "Character 4" in refusal("Hi {first_name|friend, sale")
    assert "Did you mean {first_name}?" in refusal("{first name}")
    assert "Did you mean {Bonus}?" in refusal("You have {bonsu} points")
    assert "Character 10" in refusal("You have {bonsu} points")
    check_placeholders("You have {bonus} points, {nick|friend}", EVERYONE)


def test_only_the_contacts_of_the_audience_count(alice: User) -> None:
    factories.contact(alice, tags=("a",), attributes={"bonus": 5})
    factories.contact(alice, tags=("b",))
    check_placeholders("{bonus}", Audience(tags=("a",)))
    assert "{bonus}" in refusal("{bonus}", Audience(tags=("b",)))
    check_placeholders("{bonus}", Audience(tags=("nobody",)))


@pytest.mark.parametrize("text", ["Hi {first_name|friend, sale", "{bonsu}"])
def test_every_way_to_save_a_campaign_refuses(alice: User, text: str) -> None:
    factories.contact(alice)
    with pytest.raises(ValidationError):
        factories.campaign(alice, text=text)
    with pytest.raises(ValidationError):
        factories.campaign(alice, text=text, draft=True)
    draft = factories.campaign(alice, draft=True)
    api = ApiClient(alice)
    body = {"name": "x", "text": text, "ends_at": (now() + timedelta(hours=1)).isoformat()}
    for answer in (
        api.post("/campaigns", body, content_type="application/json"),
        api.patch(f"/campaigns/{draft.pk}", {"text": text}, content_type="application/json"),
        api.post("/campaigns/preview", {"text": text}, content_type="application/json"),
    ):
        assert answer.status_code == 422
        assert "Character" in answer.json()["detail"][0]["msg"]
    Campaign.objects.filter(pk=draft.pk).update(text=text)
    draft.refresh_from_db()
    assert forecast_of(draft).launch_prevented
    with pytest.raises(ValidationError):
        campaign_launch(campaign=draft, by=alice)
    assert browser(alice).post(f"/campaigns/{draft.pk}/duplicate/").status_code == 302


def test_an_older_campaign_can_still_be_stopped_and_its_test_explains_the_error(alice: User) -> None:
    factories.contact(alice)
    campaign, _run = started(alice)
    Campaign.objects.update(text="Hi {first_name|friend, sale")
    campaign.refresh_from_db()
    with pytest.raises(ValidationError):
        campaign_test(campaign=campaign, by=alice, phone="79161234567")
    shown = browser(alice).post(f"/campaigns/{campaign.pk}/test/", {"phone": "79161234567"})
    assert "Character 4" in shown.content.decode()
    assert campaign_pause(campaign=campaign, by=alice).status == "paused"


def test_a_single_message_with_braces_is_refused(alice: User) -> None:
    with pytest.raises(ValidationError, match="Character 1"):
        message_send(owner=alice, phone="79161234567", text="{first name}")
