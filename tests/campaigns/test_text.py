import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.text import (
    GSM7_BASIC,
    GSM7_EXTENSION,
    PLACEHOLDER,
    beyond_gsm7,
    measure,
    normalise,
    render,
    values_of,
)

ANNA = values_of(
    first_name="Анна",
    last_name="",
    phone=79991234567,
    attributes={"город": "Омск", "points": 12, "rate": 1.5, "gold": True, "none": False, "zero": 0, "note": ""},
)


class TestNormalise:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("one\r\ntwo\rthree\u2028four\u2029five\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
            ("one  \ntwo\t\u00a0\n\nthree", "one\ntwo\n\nthree"),
            (" \n\tone\n ", "one"),
            ("  one\n  two", "one\n  two"),
            ("e\u0301 и\u0306 \u212b", "é й Å"),
            (" \r\n ", ""),
            ("\u200b\u200d\ufeff\u2060\n\u00ad", ""),
            ("\u3164\u2800\ufe0f\u034f", ""),
            ("a\u200db", "a\u200db"),
            ("", ""),
        ],
    )
    def test_equivalent_texts_are_normalised(self, text: str, expected: str) -> None:
        assert normalise(text) == expected

    @given(st.text())
    def test_a_normalised_text_stays_as_it_is(self, text: str) -> None:
        assert normalise(normalise(text)) == normalise(text)


class TestRender:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Hi {first_name}!", "Hi Анна!"),
            ("Hi {first_name|friend}!", "Hi Анна!"),
            ("Hi {last_name|friend}!", "Hi friend!"),
            ("Hi {last_name}!", "Hi !"),
            ("Hi {nick|friend}!", "Hi friend!"),
            ("Hi {nick}!", "Hi !"),
            ("Hi {nick|}!", "Hi !"),
            ("{note|—}", "—"),
            ("{phone}", "79991234567"),
            ("{город}, {points} из {rate}", "Омск, 12 из 1.5"),
            ("{gold|x} {none|x} {zero|x}", "true false 0"),
            ("{nick|dear friend, it’s 5 | 6}", "dear friend, it’s 5 | 6"),
            ("{first_name}{first_name}", "АннаАнна"),
            ("{{first_name}}", "{Анна}"),
        ],
    )
    def test_placeholders_are_filled(self, text: str, expected: str) -> None:
        assert render(text, ANNA) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "{ }",
            "{ first_name }",
            "{1st}",
            "{first-name}",
            "{first_name",
            "first_name}",
            "{|x}",
            "a { b } c",
            "{a|{b",
        ],
    )
    def test_other_braces_are_text(self, text: str) -> None:
        assert render(text, {"a": 1, "b": 2, **ANNA}) == text

    def test_a_contacts_name_is_never_read_as_a_placeholder(self) -> None:
        assert render("{a}{b}", {"a": "{b}", "b": "{phone|x}\\1"}) == "{b}{phone|x}\\1"

    def test_an_attribute_does_not_override_a_contact_field(self) -> None:
        values = values_of(first_name="", last_name="Ким", phone=7, attributes={"first_name": "x", "phone": 8})
        assert render("{first_name|a}{last_name}{phone}", values) == "aКим7"

    @given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none() | st.floats()))
    def test_any_text_renders(self, text: str, values: dict[str, object]) -> None:
        rendered = render(text, values)
        assert rendered == text if not PLACEHOLDER.search(text) else isinstance(rendered, str)


class TestMeasure:
    @pytest.mark.parametrize(
        ("text", "encoding", "characters", "parts", "room"),
        [
            ("", "GSM-7", 0, 1, 160),
            ("a" * 160, "GSM-7", 160, 1, 160),
            ("a" * 161, "GSM-7", 161, 2, 306),
            ("a" * 306, "GSM-7", 306, 2, 306),
            ("a" * 307, "GSM-7", 307, 3, 459),
            ("a" * 1530, "GSM-7", 1530, 10, 1530),
            ("a" * 1531, "GSM-7", 1531, 11, 1683),
            ("я" * 70, "UCS-2", 70, 1, 70),
            ("я" * 71, "UCS-2", 71, 2, 134),
            ("я" * 134, "UCS-2", 134, 2, 134),
            ("я" * 135, "UCS-2", 135, 3, 201),
            ("€" * 80, "GSM-7", 160, 1, 160),
            ("a" + "€" * 80, "GSM-7", 161, 2, 306),
            ("😀" * 35, "UCS-2", 70, 1, 70),
            ("a" + "😀" * 35, "UCS-2", 71, 2, 134),
            ("a" * 70 + "я", "UCS-2", 71, 2, 134),
        ],
    )
    def test_parts_end_where_the_standard_says(
        self, text: str, encoding: str, characters: int, parts: int, room: int
    ) -> None:
        size = measure(text)
        assert (size.encoding, size.characters, size.parts, size.room) == (encoding, characters, parts, room)

    def test_an_escape_pair_is_not_split(self) -> None:
        assert measure("a" * 152 + "€" + "a" * 152).parts == 3
        assert measure("a" * 151 + "€" + "a" * 153).parts == 2

    def test_a_surrogate_pair_is_not_split(self) -> None:
        assert measure("я" * 66 + "😀" + "я" * 66).parts == 3
        assert measure("я" * 65 + "😀" + "я" * 67).parts == 2

    def test_the_alphabet_is_that_of_the_standard(self) -> None:
        assert len(GSM7_BASIC) == 127  # 128 without the escape
        assert set("\f^{}\\[~]|€") == GSM7_EXTENSION
        assert not GSM7_BASIC & GSM7_EXTENSION
        assert measure("".join(GSM7_BASIC)).characters == 127

    @pytest.mark.parametrize("character", ["`", "’", "«", "—", "ç", "Á", "\t", "\u00a0", "ё", "№"])
    def test_similar_characters_are_not_gsm7(self, character: str) -> None:
        assert measure(character).encoding == "UCS-2"
        assert beyond_gsm7(f"a{character}b{character}") == [character]

    @given(st.text(alphabet=st.sampled_from("aя€😀\n"), max_size=400), st.text(alphabet=st.sampled_from("aя€😀\n")))
    def test_a_longer_text_never_takes_fewer_parts(self, text: str, more: str) -> None:
        assert measure(text).parts <= measure(text + more).parts

    @given(st.text(max_size=600))
    def test_its_size_adds_up(self, text: str) -> None:
        size = measure(text)
        assert (size.encoding == "GSM-7") is (not beyond_gsm7(text))
        assert size.characters <= size.room
        if size.encoding == "UCS-2":
            assert size.characters == len(text.encode("utf-16-be", "surrogatepass")) // 2
        single = {"GSM-7": 160, "UCS-2": 70}[size.encoding]
        assert (size.parts == 1) is (size.characters <= single)
