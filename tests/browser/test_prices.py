"""Prices are entered and imported, and the composer shows what a campaign costs, in both languages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import accessibility_problems, pick
from tests.stack import Api, add_contacts

PAGE = "/gateways/probe/prices/"
WORDS = {
    "en": {
        "tag": "prices-en",
        "area": "Country or prefix",
        "country": "Russia",
        "price": "Price per part",
        "amount": "2.50",
        "save": "Save price",
        "saved": "Russia: RUB\u00a02.50 per part",
        "import": "Import",
        "wrong": "Row 3: Enter a price",
        "imported": "1 replaced",
        "text": "Text",
        "before": "RUB\u00a06.00",
        "saves": "1 part instead of 2. That saves RUB\u00a03.00.",
        "plain": "Use the standard alphabet",
        "after": "RUB\u00a03.00",
        "undo": "Undo the change of the text",
        "latin": "Write in Latin letters",
    },
    "ru": {
        "tag": "prices-ru",
        "area": "Страна или префикс",
        "country": "Россия",
        "price": "Цена части",
        "amount": "2,50",
        "save": "Сохранить цену",
        "saved": "Россия: 2,50\u00a0₽ за часть",
        "import": "Импорт",
        "wrong": "Строка 3: Введите цену",
        "imported": "заменено 1",
        "text": "Текст",
        "before": "6,00\u00a0₽",
        "saves": "1 часть вместо 2. Экономия — 3,00\u00a0₽.",
        "plain": "Заменить символы",
        "after": "3,00\u00a0₽",
        "undo": "Вернуть прежний текст",
        "latin": "Написать латиницей",
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
    api.put(f"{api.root}/gateways/probe/prices", json=[], timeout=20).raise_for_status()


def upload(page: Page, content: str, words: dict[str, str]) -> None:
    page.goto(PAGE)
    file = FilePayload(name="prices.csv", mimeType="text/csv", buffer=content.encode())
    page.locator("#import input[type=file]").set_input_files(file)
    page.get_by_role("button", name=words["import"], exact=True).click()


def test_prices_give_an_estimate_and_a_cheaper_text_saves_money(api: Api, page: Page, words: dict[str, str]) -> None:
    add_contacts(api, words["tag"], 3)
    page.goto(PAGE)
    page.locator("#add").get_by_label(words["area"]).fill(words["country"])
    page.get_by_label(words["price"]).fill(words["amount"])
    page.get_by_role("button", name=words["save"]).click()
    expect(page.locator(".toast")).to_contain_text(words["saved"])
    upload(page, "area,price\nKZ,2\nRU,x\n", words)
    expect(page.get_by_role("alert")).to_contain_text(words["wrong"])
    assert accessibility_problems(page) == []
    upload(page, "Страна;Цена\nRU;1,00\nKZ;2,00\n", words)
    expect(page.locator(".toast")).to_contain_text(words["imported"])

    page.goto("/campaigns/new/")
    text, preview = page.get_by_label(words["text"], exact=True), page.locator("#preview")
    expensive, plain = "“" + "a" * 80 + "” {phone}", '"' + "a" * 80 + '" {phone}'
    text.fill(expensive)
    pick(page, words["tag"])
    expect(preview).to_contain_text(words["before"])
    expect(page.locator("#size")).to_contain_text(words["saves"])
    assert accessibility_problems(page) == []
    page.get_by_role("button", name=words["plain"]).click()
    expect(text).to_have_value(plain)
    expect(preview).to_contain_text(words["after"])
    page.get_by_role("button", name=words["undo"]).click()
    expect(text).to_have_value(expensive)
    expect(preview).to_contain_text(words["before"])
    expect(page.get_by_role("button", name=words["undo"])).to_be_hidden()

    text.fill("Привет!" * 12)
    page.get_by_role("button", name=words["latin"]).click()
    expect(text).to_have_value("Privet!" * 12)
    expect(preview).to_contain_text(words["after"])
