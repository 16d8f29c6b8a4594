"""Input is never lost, and night-time sending is noticed: the composer in both languages."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.conftest import accessibility_problems, pick
from tests.stack import EMAIL, PASSWORD, Api, add_contacts, launch

WORDS = {
    "en": {
        "text": "Text",
        "name": "Name",
        "save": "Save draft",
        "conflict": "This was changed after you opened the page",
        "review": "Review and launch…",
        "email": "E-mail",
        "password": "Password",
        "enter": "Sign in",
        "restored": "This is unsaved input",
        "discard": "Discard",
        "night": "between 22:00 and 8:00 local time",
        "daytime": "Send only 09:00–21:00 local time",
        "starts": "Starts immediately, only 09:00–21:00 local time",
    },
    "ru": {
        "text": "Текст",
        "name": "Название",
        "save": "Сохранить черновик",
        "conflict": "Данные изменились после того, как вы открыли страницу",
        "review": "Проверить и запустить…",
        "email": "Эл. почта",
        "password": "Пароль",
        "enter": "Войти",
        "restored": "Это несохранённые данные",
        "discard": "Удалить",
        "night": "между 22:00 и 8:00 по местному времени",
        "daytime": "Отправлять только 09:00–21:00 по местному времени",
        "starts": "только с 09:00 до 21:00",
    },
}


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session, "reduced_motion": "reduce"}


@pytest.fixture(params=["en", "ru"])
def words(request: pytest.FixtureRequest, api: Api) -> Iterator[dict[str, str]]:
    """Texts of the pages in the administrator's language."""
    me = api.call("GET", "/users/me")["id"]
    api.call("PATCH", f"/users/{me}", language=request.param)
    yield WORDS[request.param]
    api.call("PATCH", f"/users/{me}", language="en")


def test_a_conflict_between_two_tabs_is_shown_and_keeps_the_input(api: Api, page: Page, words: dict[str, str]) -> None:
    add_contacts(api, "tabs", 1)
    campaign = launch(api, "tabs", status="draft")
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(f"/campaigns/{campaign}/edit/")
    page.get_by_label(words["text"], exact=True).fill("The right price")
    page.get_by_role("button", name=words["save"]).first.click()
    page.wait_for_url(f"**/campaigns/{campaign}/")

    other.get_by_label(words["name"], exact=True).fill("Typed in the second tab")
    other.get_by_role("button", name=words["save"]).first.click()
    alert = other.get_by_role("alert")
    expect(alert).to_contain_text(words["conflict"])
    expect(alert).to_contain_text("The right price")
    expect(other.get_by_label(words["name"], exact=True)).to_have_value("Typed in the second tab")
    assert api.call("GET", f"/campaigns/{campaign}")["text"] == "The right price"
    assert accessibility_problems(other) == []


def test_one_click_sets_daytime_hours(api: Api, page: Page, words: dict[str, str]) -> None:
    zones = (  # it is night in one of them at any time
        *("Pacific/Auckland", "Asia/Vladivostok", "Asia/Novosibirsk", "Asia/Yekaterinburg", "Europe/Moscow"),
        *("Atlantic/Azores", "America/Sao_Paulo", "America/New_York", "America/Los_Angeles", "Pacific/Honolulu"),
    )
    dark = next(zone for zone in zones if datetime.now(UTC).astimezone(ZoneInfo(zone)).hour in (*range(5), 22, 23))
    add_contacts(api, "night", 1)
    contact = api.call("GET", "/contacts?tag=night")["items"][0]["id"]
    api.call("PATCH", f"/contacts/{contact}", timezone=dark)
    page.goto("/campaigns/new/")
    page.get_by_label(words["name"], exact=True).fill("Night")
    page.get_by_label(words["text"], exact=True).fill("Sale")
    pick(page, "night")
    expect(page.locator("#preview")).to_contain_text(words["night"])
    page.get_by_role("button", name=words["review"]).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(words["night"])
    assert accessibility_problems(page) == []
    dialog.get_by_role("button", name=words["daytime"]).click()
    expect(dialog).not_to_contain_text(words["night"])
    expect(dialog).to_contain_text(words["starts"])
    expect(page.locator("#preview")).not_to_contain_text(words["night"])


def sign_in_again(page: Page, words: dict[str, str]) -> None:
    """Sign in again, in the page's language."""
    page.wait_for_url("**/accounts/login/**")
    page.locator("input[type=email]").fill(EMAIL)
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button", name=re.compile(f"Sign in$|{words['enter']}$")).click()


@pytest.mark.parametrize("by", ["typing", "saving"])
def test_an_expired_session_loses_no_input(page: Page, words: dict[str, str], by: str) -> None:
    page.goto("/campaigns/new/")
    text, name = page.get_by_label(words["text"], exact=True), page.get_by_label(words["name"], exact=True)
    with page.expect_response(re.compile("/preview/")):
        text.fill("Kept on the server")
    page.context.clear_cookies(name="sessionid")
    if by == "typing":
        text.fill("Typed after the sign-in had expired")
    else:
        page.route(re.compile("/preview/"), lambda route: route.abort())
        text.fill("Typed after the sign-in had expired")
        name.fill("Expired")
        page.get_by_role("button", name=words["save"]).first.click()
    sign_in_again(page, words)
    page.wait_for_url("**/campaigns/new/")
    expect(text).to_have_value("Typed after the sign-in had expired")
    expect(page.locator("#restored")).to_contain_text(words["restored"])
    assert accessibility_problems(page) == []
    page.get_by_role("button", name=words["discard"]).click()
    expect(text).to_have_value("")
    page.reload()
    expect(text).to_have_value("")


def test_leaving_with_unsaved_input_asks_and_another_tab_restores_it(page: Page, words: dict[str, str]) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto("/campaigns/new/")
    page.get_by_role("link", name=re.compile("Vestnik")).first.click()
    page.wait_for_url("/")
    assert asked == []
    page.goto("/campaigns/new/")
    with page.expect_response(re.compile("/preview/")):
        page.get_by_label(words["text"], exact=True).fill("Half a text")
    page.get_by_role("link", name=re.compile("Vestnik")).first.click()
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    expect(page.get_by_label(words["text"], exact=True)).to_have_value("Half a text")
    other = page.context.new_page()
    other.goto("/campaigns/new/")
    expect(other.get_by_label(words["text"], exact=True)).to_have_value("Half a text")
    other.get_by_role("button", name=words["discard"]).click()
    expect(other.get_by_label(words["text"], exact=True)).to_have_value("")


def test_after_going_back_the_preview_matches_the_form(api: Api, page: Page, words: dict[str, str]) -> None:
    tag = f"returned {words['name'].lower()}"
    add_contacts(api, tag, 2)
    page.goto("/campaigns/new/")
    page.get_by_label(words["name"], exact=True).fill("Back")
    pick(page, tag)
    preview = page.locator("#preview .large").first
    expect(preview).to_have_text(re.compile("^2 "))
    page.once("dialog", lambda dialog: dialog.accept())
    page.goto("/contacts/")
    page.go_back()
    expect(page.get_by_role("checkbox", name=tag, exact=True)).to_be_checked()
    expect(page.locator("#preview .large").first).to_have_text(re.compile("^2 "))
