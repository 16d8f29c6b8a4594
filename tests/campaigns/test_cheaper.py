"""Cheaper versions of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.cheaper import in_latin_letters, in_standard_alphabet
from campaigns.text import beyond_gsm7, normalise, placeholders


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“Hi” – ‘a’…", "\"Hi\" - 'a'..."),
        ("No\u00a0break, zero\u200bwidth\ufeff, soft\u00adhyphen", "No break, zerowidth, softhyphen"),
        ("Сall us nоw", "Call us now"),  # Cyrillic С and о
        ("ΕΛΛΑΣ", "EΛΛAΣ"),
        ("ﬁne, Ｆull width", "fine, Full width"),
        ("№ 5: 100 ₽", "No. 5: 100 RUB"),
    ],
)
def test_what_reads_the_same_is_replaced_without_loss(text: str, plain: str) -> None:
    assert in_standard_alphabet(text) == (plain, ())


@pytest.mark.parametrize(
    ("text", "plain", "lost"),
    [
        ("“Façade”", '"Facade"', "ç"),
        ("Zażółć", "Zazolc", "żółć"),
        ("Hi 🎉👍🏽", "Hi ", "🎉👍🏽"),
        ("👨\u200d👩", "", "👨👩"),
    ],
)
def test_accents_and_symbols_are_lost_only_by_name(text: str, plain: str, lost: str) -> None:
    assert in_standard_alphabet(text) == (plain, tuple(lost))


@pytest.mark.parametrize("text", ["Plain €", "Привет — 🎉", "Привет OK", "汉字", "10² m", "｛first_name｝", ""])
def test_nothing_is_offered_that_changes_the_meaning_or_is_no_use(text: str) -> None:
    assert in_standard_alphabet(text) is None


@pytest.mark.parametrize(
    ("text", "latin"),
    [
        ("Привет, мир — «ура»!", 'Privet, mir - "ura"!'),
        ("Щука, ЩУКА, Я, съёмка", "Shchuka, SHCHUKA, Ya, syomka"),
        ("Сәлем, қала", "Salem, qala"),
    ],
)
def test_cyrillic_is_written_in_latin_letters(text: str, latin: str) -> None:
    assert in_latin_letters(text) == (latin, ())


def test_other_alphabets_are_not_written_in_latin_letters() -> None:
    assert in_latin_letters("Hello") is None
    assert in_latin_letters("Привет 汉字") is None


def test_placeholders_stay_and_their_fallbacks_change() -> None:
    text = "Привет, {first_name|друг}! {имя} {город|Омск}"
    found = in_latin_letters(text)
    assert found is not None
    assert found.text == "Privet, {first_name|drug}! {имя} {город|Omsk}"
    plain = in_standard_alphabet("“Hi” {имя|“you”}")
    assert plain is not None
    assert plain.text == '"Hi" {имя|"you"}'


@given(st.text(alphabet=st.sampled_from("ab “”—…é🎉{}|_имя\u200bЩщ"), max_size=40))
def test_a_cheaper_text_has_the_same_placeholders_and_only_standard_characters(text: str) -> None:
    text = normalise(text)
    for found in (in_standard_alphabet(text), in_latin_letters(text)):
        if found is not None:
            assert placeholders(found.text) == placeholders(text)
            assert set(beyond_gsm7(found.text)) <= set("имяЩщ")  # of names
