"""Passkeys, codes and sessions, from set-up to sign-in, in a browser."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from tests.browser.conftest import accessibility_problems, collect_problems
from tests.factories import totp
from tests.stack import PASSWORD, Stack

EMAIL = "keys@example.org"
NEW_USER = f"from accounts.models import User; User.objects.create_superuser({EMAIL!r}, {PASSWORD!r})"


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], stack: Stack) -> dict[str, object]:
    """Browsers store passkeys only for host names, and without TLS only for localhost."""
    return {**browser_context_args, "base_url": named(stack), "reduced_motion": "reduce"}


def named(stack: Stack) -> str:
    """The stack's address with the host name."""
    return stack.url.replace("127.0.0.1", "localhost")


def look(page: Page, path: str) -> None:
    """Open the page, and check that it fits a phone and is accessible."""
    page.goto(path)
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert accessibility_problems(page) == [], path


@pytest.fixture
def authenticator(page: Page) -> Iterator[Callable[..., Any]]:
    """Commands to a virtual authenticator whose user is always present."""
    session: CDPSession = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    made = session.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {**options, "isUserVerified": True, "automaticPresenceSimulation": True}},
    )
    yield lambda command, **parameters: session.send(
        f"WebAuthn.{command}", {"authenticatorId": made["authenticatorId"], **parameters}
    )
    session.detach()


def sign_in(page: Page, code: str | None = None) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    if code:
        expect(page.get_by_label("Code")).to_be_focused()
        page.get_by_label("Code").fill(code)
        page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("/")


def add_passkey(page: Page, authenticator: Callable[..., Any]) -> list[str]:
    """Add a passkey, at the second try, on the page of second factors; return the recovery codes."""
    page.get_by_role("link", name="Add a passkey").click()
    look(page, page.url)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    look(page, page.url)
    authenticator("setUserVerified", isUserVerified=False)
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The passkey did not work")
    authenticator("setUserVerified", isUserVerified=True)
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    look(page, page.url)
    return page.locator("#codes").inner_text().split()


def turn_app_on(page: Page) -> None:
    """Enter the code of an authenticator app set up with the shown key."""
    secret = page.locator(".secret code").inner_text()
    page.get_by_label("code").fill(totp(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("Authenticator app", exact=True)).to_be_visible()


def test_a_passkey_and_an_app_are_set_up_and_sign_in(
    stack: Stack,
    page: Page,
    authenticator: Callable[..., Any],
    new_context: Callable[..., BrowserContext],
) -> None:
    complaints = collect_problems(page, named(stack))
    stack.manage("shell", "-v", "0", "-c", NEW_USER)
    sign_in(page)
    look(page, "/account/")
    look(page, "/accounts/2fa/")
    recovery = add_passkey(page, authenticator)
    assert len(recovery) == 10

    for path in ("", "webauthn/", "recovery-codes/generate/", "totp/activate/"):
        look(page, f"/accounts/2fa/{path}")
    turn_app_on(page)
    look(page, "/accounts/2fa/totp/deactivate/")
    page.goto("/accounts/2fa/webauthn/")
    for name in ("Rename", "Remove…"):
        page.get_by_role("link", name=name).click()
        look(page, page.url)
        page.goto("/accounts/2fa/webauthn/")

    elsewhere = new_context().new_page()
    sign_in(elsewhere, recovery[0])
    look(page, "/accounts/sessions/")
    expect(page.get_by_role("listitem").filter(has_text="signed in")).to_have_count(2)
    page.get_by_role("button", name="Sign out all other sessions").click()
    expect(page.get_by_role("listitem").filter(has_text="signed in")).to_have_count(1)
    elsewhere.goto("/account/")
    expect(elsewhere).to_have_url(re.compile("/accounts/login/"))

    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/")  # and for its scripts
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("/")
    page.goto("/account/")
    expect(page.get_by_role("main")).to_contain_text(EMAIL)
    assert [said for said in complaints if "ERR_ABORTED" not in said] == [], "but for pages that were left early"


def test_the_external_provider_signs_in(stack: Stack, page: Page) -> None:
    stack.provider.person("office", email="office@example.org", given_name="Olga")
    page.route("https://**", lambda route: route.abort())  # the provider's own page would ask the internet for its look
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Continue with Office").click()
    page.get_by_placeholder("sub").fill("office")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url("/")
    complaints = collect_problems(page, named(stack))
    look(page, "/account/")
    expect(page.get_by_role("heading", name="Olga Kim")).to_be_visible()
    look(page, "/accounts/3rdparty/")
    assert [said for said in complaints if "ERR_ABORTED" not in said] == []
