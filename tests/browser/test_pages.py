"""Every page in a real browser: on desktop and phone, light and dark; and without scripts."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from playwright.sync_api import Browser, BrowserContext, Page, expect

from campaigns.sandbox.faults import Faults
from tests.browser.conftest import accessibility_problems, collect_problems, pick, sign_in
from tests.stack import Api, Stack, add_contacts, finished, launch, wait_for

NewContext = Callable[..., BrowserContext]

PUBLIC_PATHS = (
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/inactive/",
    "/accounts/confirm-email/",
    "/accounts/confirm-email/of-no-use/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/password/reset/key/1-of-no-use/",
    "/accounts/password/reset/key/done/",
    "/accounts/3rdparty/login/cancelled/",
    "/accounts/invitation/of-no-use/",
)
SIGNED_IN_PATHS = (
    "/",
    "/account/password/changed/",
    "/campaigns/",
    "/campaigns/?q=nothing-is-called-so",
    "/campaigns/new/",
    "/campaigns/{draft}/",
    "/campaigns/{draft}/edit/",
    "/campaigns/{waiting}/",
    "/campaigns/{over}/",
    "/campaigns/{over}/?status=failed",
    "/campaigns/{over}/messages/{message}/",
    "/contacts/",
    "/contacts/?tag=pages",
    "/contacts/new/",
    "/contacts/imports/",
    "/contacts/imports/{file}/",
    "/contacts/imports/{imported}/",
    "/contacts/{contact}/",
    "/contacts/{contact}/edit/",
    "/contacts/tags/",
    "/contacts/tags/{tag}/",
    "/contacts/audiences/",
    "/contacts/audiences/new/",
    "/contacts/audiences/{audience}/",
    "/contacts/suppression/",
    "/contacts/suppression/{phone}/",
    "/contacts/bulk/{bulk}/",
    "/campaigns/to/{contact}/",
    "/find/?q=pages",
    "/reports/",
    "/reports/?period=own&first=2026-11-20",
    "/reports/campaigns/{over}/",
    "/reports/email/",
    "/reports/email/?rhythm=weekly",
    "/reports/email/body/",
    "/reports/email/off/{off}/",
    "/users/",
    "/users/invite/",
    "/users/{user}/",
    "/account/deactivate/",
    "/gateways/",
    "/gateways/new/",
    "/gateways/new/?provider=twilio",
    "/gateways/new/?provider=http",
    "/gateways/new/?provider=kannel",
    "/gateways/probe/",
    "/gateways/probe/prices/",
    "/gateways/probe/prices/{price}/delete/",
    "/account/",
    "/account/webhooks/",
    "/account/webhooks/{webhook}/",
    "/accounts/2fa/",
    "/accounts/2fa/webauthn/",
    "/accounts/3rdparty/",
    "/accounts/email/",
    "/accounts/sessions/",
    "/accounts/password/change/",
    "/accounts/reauthenticate/",
    "/accounts/logout/",
    "/docs/",
    "/styleguide/",
)
# Addresses of forms, which show another page; pages of special accounts; pages behind a confirmation.
NO_PAGES = {
    "account_confirm_login_code",
    "account_set_password",
    "audience_count",
    "audience_delete",
    "bulk",
    "bulk_begin",
    "campaign_act",
    "campaign_continue",
    "campaign_duplicate",
    "campaign_export",
    "contact_deactivate",
    "contact_erase",
    "contact_reactivate",
    "contacts_export",
    "data",  # a file
    "delivery_resend",
    "gateway_check",
    "gateway_sample",
    "gateway_send",
    "import_act",
    "import_format",
    "import_rows",
    "message_act",
    "tokens_revoke",
    "mfa_activate_totp",  # this and what follows: tests/browser/test_accounts.py
    "mfa_add_webauthn",
    "mfa_authenticate",
    "mfa_deactivate_totp",
    "mfa_download_recovery_codes",
    "mfa_edit_webauthn",
    "mfa_generate_recovery_codes",
    "mfa_login_webauthn",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
    "openid_connect_callback",
    "openid_connect_login",
    "preview",
    "prices_export",  # a file
    "prices_import",
    "report_export",
    "report_send_me",
    "send_test",
    "session_end",
    "set_language",
    "socialaccount_login_error",
    "socialaccount_signup",
    "suppression_export",  # text
    "tag_delete",
    "tag_merge",
    "test_sent",
    "token_create",
    "token_revoke",
    "user_change",
    "webhook_delete",
    "webhook_enable",
    "unknown_call",  # JSON
}
WIDTHS = (1440, 390)
# Rows that the API can't create.
DIRECTORY = """
import json
from datetime import date
from accounts.models import User
from campaigns.models import Price
from directory.bulk_actions.work import bulk_start
from directory.models import BulkActionType, Tag
from directory.audiences.services import audience_save
from directory.audiences.audience import Audience
from directory.suppression.services import suppress
from reports.emails.rendering import unsubscribe_token
from reports.models import ReportFrequency
boss = User.objects.filter(is_staff=True).first()
suppress([79001112233], by=boss, reason="asked by phone")
action = bulk_start(by=boss, kind=BulkActionType.TAG, tag="pages", filters={"tags": ["pages"]})
saved = audience_save(by=boss, name="Pages", audience=Audience(tags=("pages",)))
tag = Tag.objects.get(name="pages")
ids = {"user": boss.pk, "tag": tag.pk, "audience": saved.pk, "phone": 79001112233, "bulk": action.pk}
price = Price.objects.create(gateway="probe", area="KZ", price=1, valid_from=date(2090, 1, 1))
ids["price"] = price.pk
print(json.dumps({**ids, "off": unsubscribe_token(boss, ReportFrequency.WEEKLY)}))
"""


def imported(stack: Stack, session: Path, *, start: bool) -> int:
    """An import with a valid row and an invalid one, as a draft or started."""
    cookies = {cookie["name"]: cookie["value"] for cookie in json.loads(session.read_text())["cookies"]}
    token = {"csrfmiddlewaretoken": cookies["csrftoken"]}
    file = {"file": ("people.csv", "phone,first_name\n79170000001,Анна\n12,a very long name of nobody\n" * 3)}
    answer = requests.post(f"{stack.url}/contacts/imports/", data=token, files=file, cookies=cookies, timeout=20)
    if start:
        mapping = {"column_0": "phone", "column_1": "first_name", "policy": "update"}
        requests.post(answer.url, data=token | mapping, cookies=cookies, timeout=20).raise_for_status()
        wait_for(lambda: "Rejected" in requests.get(answer.url, cookies=cookies, timeout=20).text, "the import's end")
    return int(re.findall(r"\d+", urlsplit(answer.url).path)[0])


@pytest.fixture(scope="module")
def places(stack: Stack, session: Path) -> dict[str, Any]:
    """Objects for the pages: a draft, a scheduled campaign, a finished one with a failure."""
    api = stack.fresh_api()
    add_contacts(api, "pages", 2)
    stack.sandbox.faults = stack.sandbox.faults.updated({"refuse": 1})
    over = launch(api, "pages", text="{first_name|friend}, " + "a rather long text, " * 20)
    wait_for(lambda: finished(api, over), "the campaign's end")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    message = api.call("GET", f"/campaigns/{over}/messages")["items"][0]
    return {
        "draft": launch(api, "pages", status="draft", repeat="daily", text="Draft"),
        "waiting": launch(api, "pages", starts_at=tomorrow, ends_at=later, repeat="daily", local_time=True),
        "over": over,
        "message": message["id"],
        "webhook": api.call("POST", "/webhooks", 201, url="https://8.8.8.8/hook")["id"],
        "contact": message["contact"],
        **json.loads(stack.manage("shell", "-v", "0", "-c", DIRECTORY)),
        "file": imported(stack, session, start=False),
        "imported": imported(stack, session, start=True),
    }


def look(page: Page, path: str) -> None:
    """Open the page once, and check it with axe on every screen."""
    page.goto(path)
    assert urlsplit(page.url).path == urlsplit(path).path, "the page has sent us elsewhere"
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide on a screen of {width}"
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert accessibility_problems(page) == [], f"{path}, {width} px, {scheme}"


@pytest.fixture(scope="module")
def stranger(browser: Browser, base_url: str) -> Iterator[Page]:
    """A browser page without a session, shared by tests."""
    with browser.new_context(base_url=base_url, reduced_motion="reduce") as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def user(browser: Browser, base_url: str, session: Path) -> Iterator[Page]:
    """A browser page of an administrator, shared by tests."""
    with browser.new_context(base_url=base_url, storage_state=session, reduced_motion="reduce") as context:
        yield context.new_page()


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_public_pages(path: str, stranger: Page, base_url: str) -> None:
    complaints = collect_problems(stranger, base_url)
    look(stranger, path)
    assert complaints == []


@pytest.mark.parametrize("path", SIGNED_IN_PATHS)
def test_pages_of_signed_in_users(path: str, user: Page, base_url: str, places: dict[str, Any]) -> None:
    complaints = collect_problems(user, base_url)
    look(user, path.format(**places))
    assert complaints == []


def test_a_test_message_is_sent_in_a_dialog_and_followed(
    user: Page, base_url: str, places: dict[str, Any], stack: Stack
) -> None:
    complaints = collect_problems(user, base_url)
    stack.sandbox.faults = Faults()
    user.goto(f"/campaigns/{places['draft']}/")
    user.get_by_role("button", name="Send a test…").click()
    dialog = user.get_by_role("dialog", name="Send a test")
    dialog.get_by_label("Phone").fill("8 (999) 123-45-67")
    dialog.get_by_role("button", name="Send test").click()
    expect(dialog.get_by_text("Sent", exact=True)).to_be_visible()
    assert stack.sandbox.ledger.last[-1].message.phone == 79991234567
    assert complaints == []


def test_every_page_is_listed() -> None:
    names = (
        "draft",
        "waiting",
        "over",
        "message",
        "contact",
        "webhook",
        "tag",
        "audience",
        "phone",
        "bulk",
        "file",
        "imported",
        "off",
        "price",
        "user",
    )
    ids = dict.fromkeys(names, 1)
    seen = {resolve(urlsplit(path.format(**ids)).path).url_name for path in (*PUBLIC_PATHS, *SIGNED_IN_PATHS)}
    assert set(page_names(get_resolver().url_patterns)) - NO_PAGES == seen


def page_names(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[str]:
    """The names of all addresses except those of the API and the Django admin."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            if pattern.name:  # the others are includes
                yield pattern.name
        elif pattern.app_name not in ("admin", "ninja"):
            yield from page_names(pattern.url_patterns)


def test_the_main_job_needs_no_script(stack: Stack, api: Api, new_context: NewContext) -> None:
    add_contacts(api, "plain", 3)
    page = new_context(java_script_enabled=False).new_page()
    sign_in(page)
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Campaigns").click()
    page.get_by_role("link", name="New campaign").first.click()
    page.get_by_label("Name", exact=True).fill("Without a script")
    page.get_by_label("Text", exact=True).fill("Plain.")
    pick(page, "plain")
    page.get_by_role("button", name="Launch").first.click()
    expect(page.get_by_role("heading", name="Without a script")).to_be_visible()
    campaign = int(re.findall(r"\d+", urlsplit(page.url).path)[0])
    wait_for(lambda: finished(api, campaign), "the campaign's end")
    page.reload()
    expect(page.get_by_role("region", name="Progress")).to_contain_text("3 of 3 messages")
    expect(page.get_by_role("main").get_by_text("Finished", exact=True)).to_be_visible()
