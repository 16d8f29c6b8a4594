"""The translation tool."""

import gettext
from pathlib import Path

import pytest

from tools import messages

TEMPLATE = """{% load i18n %}
<h1>{% translate "Contacts" %}</h1>
    <p title="{% translate 'It’s here' %}">{{ name|default:_("Nobody") }}</p>
  {% blocktranslate count counter=total trimmed %}
    {{ counter }} message
  {% plural %}
    {{ counter }} messages
  {% endblocktranslate %}
{% translate "May" context "month" %}
"""
CODE = """
from django.utils.translation import gettext_lazy as _, ngettext, pgettext
NAME = _("“%(name)s” is unknown")
EXAMPLE = _("Hello, {first_name|friend}")
MONTH = pgettext("month", "May")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small project with one template and one module."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text(TEMPLATE)
    (tmp_path / "campaigns" / "migrations").mkdir(parents=True)
    (tmp_path / "campaigns" / "models.py").write_text(CODE)
    (tmp_path / "campaigns" / "migrations" / "0001.py").write_text('_("frozen")')
    messages.update("ru", tmp_path)
    return tmp_path


def translate(root: Path, **texts: str) -> None:
    """Fill the file with these translations, and with pseudo translations for the rest."""
    path = messages.po_file("ru", root)
    catalog = messages.read(path, "ru")
    for message in catalog:
        if isinstance(message.id, str):
            message.string = texts.get(message.id, f"«{message.id}»") if message.id else message.string
        else:
            message.string = (message.id[1],) * 3
    messages.write(path, catalog)


def test_strings_of_templates_and_code_are_found(root: Path) -> None:
    catalog = messages.read(messages.po_file("ru", root), "ru")
    found = {(message.id, message.context) for message in catalog if message.id}
    assert found == {
        ("Contacts", None),
        ("It’s here", None),
        ("Nobody", None),
        (("%(counter)s message", "%(counter)s messages"), None),
        ("May", "month"),
        ("“%(name)s” is unknown", None),
        ("Hello, {first_name|friend}", None),
    }


def test_what_is_not_translated_is_named_with_its_file(root: Path) -> None:
    problems = messages.check("ru", root)
    assert len(problems) == 7
    assert "templates/page.html: 'Contacts': not translated" in problems


def test_a_complete_translation_has_no_problem_and_reaches_gettext(root: Path) -> None:
    translate(root, Contacts="Контакты")
    assert messages.check("ru", root) == []
    messages.compile_mo("ru", root)
    with messages.po_file("ru", root).with_suffix(".mo").open("rb") as file:
        translations = gettext.GNUTranslations(file)
    assert translations.gettext("Contacts") == "Контакты"
    assert translations.pgettext("month", "May") == "«May»"


def test_an_update_changes_nothing_when_nothing_changed(root: Path) -> None:
    translate(root)
    before = messages.po_file("ru", root).read_bytes()
    page = root / "templates" / "page.html"
    page.write_text("\n\n" + page.read_text())
    messages.update("ru", root)
    assert messages.po_file("ru", root).read_bytes() == before


def test_an_update_keeps_translations_adds_the_new_and_drops_the_gone(root: Path) -> None:
    translate(root, Contacts="Контакты")
    (root / "templates" / "page.html").write_text('{% load i18n %}{% translate "Contacts" %}{% translate "Tags" %}')
    problems = messages.check("ru", root)
    assert "templates/page.html: 'Tags': missing: run `make messages`" in problems
    assert "'Nobody': used nowhere: run `make messages`" in problems
    messages.update("ru", root)
    assert messages.check("ru", root) == ["templates/page.html: 'Tags': not translated"]
    assert "Контакты" in messages.po_file("ru", root).read_text()


def test_a_new_string_does_not_borrow_the_translation_of_a_similar_one(root: Path) -> None:
    translate(root)
    (root / "templates" / "page.html").write_text('{% load i18n %}{% translate "Contact" %}')
    messages.update("ru", root)
    assert messages.check("ru", root) == ["templates/page.html: 'Contact': not translated"]


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        ("“%(name)s” is unknown", "Неизвестно"),
        ("“%(name)s” is unknown", "«%(имя)s» неизвестно"),
        ("“%(name)s” is unknown", "«%(name)s» неизвестно, %(more)s"),
        ("Hello, {first_name|friend}", "Привет, {имя|друг}"),
        ("Contacts", "Контакты: %s"),
    ],
)
def test_a_translation_that_loses_or_invents_a_placeholder_is_refused(root: Path, english: str, russian: str) -> None:
    translate(root, **{english: russian})
    (problem,) = messages.check("ru", root)
    assert f"{english!r}: the translation must hold exactly " in problem


def test_a_fuzzy_translation_is_refused(root: Path) -> None:
    translate(root)
    path = messages.po_file("ru", root)
    path.write_text(path.read_text().replace('msgid "Contacts"', '#, fuzzy\nmsgid "Contacts"'))
    assert messages.check("ru", root) == ["templates/page.html: 'Contacts': fuzzy"]
