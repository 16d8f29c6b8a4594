"""Faults of the pages that were corrected must not return."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from django.utils.translation import override
from pytest_django import Settings

from accounts.audit_log import Change, _labelled_change
from accounts.models import User
from campaigns.demo import make_demo
from campaigns.models import Campaign, Gateway
from campaigns.states import MessageStatus
from directory.models import Contact, Suppression, Tag
from reports.analytics.periods import PeriodForm
from tests import factories
from tests.campaigns.browser_client import NEW, browser, composed, htmx, page_of
from tests.campaigns.outcomes import settle, started


def test_history_has_no_none_and_no_fraction_of_whole_numbers() -> None:
    field = Campaign._meta.get_field("rate_limit")
    assert _labelled_change(field, ["3.0", "None"])[1] == Change("3", "")
    assert _labelled_change(field, ["None", "0.5"])[1] == Change("", "0.5")


def test_a_language_chosen_before_signing_in_is_kept_once(alice: User) -> None:
    client = Client()
    client.cookies[configured.LANGUAGE_COOKIE_NAME] = "ru"
    client.force_login(alice)
    answer = client.get("/campaigns/")
    assert "Кампании" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.language == "ru"
    assert answer.cookies[configured.LANGUAGE_COOKIE_NAME].value == ""
    User.objects.update(language="en")
    assert "Campaigns" in client.get("/campaigns/").content.decode()


def test_report_dates_and_sign_up_in_russian(db: None) -> None:
    with override("ru"):
        form = PeriodForm({})
        assert (form["first"].label, form["last"].label) == ("С", "По")
    client = Client(headers={"Accept-Language": "ru"})
    assert "видите только вы" not in client.get("/accounts/signup/").content.decode()


@pytest.mark.parametrize("address", ["/contacts/", "/campaigns/", "/contacts/tags/", "/contacts/audiences/", "/users/"])
def test_tables_have_names(admin: User, address: str) -> None:
    factories.contact(admin, tags=("vip",))
    factories.campaign(admin)
    browser(admin).post("/contacts/audiences/new/", {"name": "All", "tags_match": "any"})
    page = browser(admin).get(address).content.decode()
    assert re.search(r'<table[^>]* aria-label="\w', page)
    assert not re.search(r"<table(?![^>]*aria-label)", page)


def test_progress_is_announced_at_each_tenth(alice: User) -> None:
    campaign, run = started(alice, contacts=4)
    settle(run, 2, MessageStatus.SENT)
    client = browser(alice)
    assert 'role="status" id="progress-announcement"' in client.get(page_of(campaign)).content.decode()
    changed = client.get(page_of(campaign), {"seen": "running", "announced": "0"}, headers=htmx("progress"))
    assert "innerHTML:#progress-announcement" in changed.content.decode()
    same = client.get(page_of(campaign), {"seen": "running", "announced": "5"}, headers=htmx("progress"))
    assert "innerHTML:#progress-announcement" not in same.content.decode()


def test_many_tags_can_be_searched(alice: User) -> None:
    Tag.objects.bulk_create(Tag(name=f"tag {number}") for number in range(30))
    client = browser(alice)
    page = client.get(NEW).content.decode()
    assert "data-picker" in page
    assert page.count('name="tags" value="tag ') == 24
    assert page.count("tag 9") == 1  # it is not among the 24 that come first, but in the one list of all
    names = re.search(r'id="all-tags"[^>]*>(.*?)</script>', page)
    assert names
    assert len(json.loads(names[1])) == 30
    # Without scripts the others are typed.
    client.post(NEW, composed(tags=["tag 0", "tag 8, tag 9"], action="draft"))
    assert Campaign.objects.get().audience["tags"] == ["tag 0", "tag 8", "tag 9"]


@pytest.mark.django_db
def test_opted_out_demo_contacts_are_on_the_suppression_list() -> None:
    make_demo()
    opted_out = Contact.objects.filter(opted_out=True)
    assert opted_out.exists()
    assert set(opted_out.values_list("phone", flat=True)) <= set(Suppression.objects.values_list("phone", flat=True))


def test_the_gateway_badge_is_refreshed_with_other_parts(alice: User, settings: Settings) -> None:
    campaign, _run = started(alice, contacts=2)
    client = browser(alice)
    for state in ("OK", "not responding"):
        for path, target in ((page_of(campaign), "progress"), ("/", "now"), ("/campaigns/", "found")):
            part = client.get(path, headers=htmx(target)).content.decode()
            badge = re.search(r'<span[^>]*id="gateway-badge"[^>]*hx-swap-oob="true"[^>]*>([^<]*)', part)
            assert badge, path
            assert state in badge[1], path
        Gateway.objects.update_or_create(
            name=settings.GATEWAY, defaults={"opened_at": now(), "open_until": now() + timedelta(minutes=1)}
        )
    with CaptureQueriesContext(connection) as asked:
        client.get(page_of(campaign), headers=htmx("progress"))
    assert sum('FROM "campaigns_gateway"' in query["sql"] for query in asked) == 1


def test_the_export_of_campaigns_uses_the_reports_period(alice: User) -> None:
    _campaign, run = started(alice, contacts=1, name="Autumn")
    settle(run, 1, MessageStatus.SENT)
    client = browser(alice)
    page = client.get("/reports/", {"period": "own", "first": "2020-01-01", "last": "2020-01-02"}).content.decode()
    assert "Campaigns of this period" in page
    link = re.search(r'href="(/reports/campaigns\.csv[^"]*)"', page)
    assert link
    for address, listed in ((unescape(link[1]), False), ("/reports/campaigns.csv?period=today", True)):
        answer: Any = client.get(address)
        assert (b"Autumn" in b"".join(answer.streaming_content)) is listed
