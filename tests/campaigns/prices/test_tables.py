"""Prices as CSV."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from campaigns.prices.entries import Entry
from campaigns.prices.tables import MAX_ROWS, BadTable, Problem, read_table, write_table

TODAY, JANUARY = date(2026, 11, 24), date(2026, 1, 1)
KAZAKHSTAN = Entry("KZ", JANUARY, Decimal("2.50"))
ELSEWHERE = Entry("", TODAY, Decimal("0.0075"))


def read(text: str, encoding: str = "utf-8") -> list[Entry]:
    return read_table(text.encode(encoding), TODAY)


@pytest.mark.parametrize(
    "text",
    [
        "area,price,valid_from\nKZ,2.50,2026-01-01\n,0.0075,\n",
        "\ufeffArea;Price;Valid from\r\nkz;2,50;01.01.2026\r\n;0,0075;\r\n\r\n",
        'Country,Prefix,Price,Date\nKazakhstan,,"2,50",2026-01-01\n,,0.0075,\n',
        "Направление\tЦена\tДействует с\nКазахстан\t2,5\t01.01.2026\n\t0,0075\t24.11.2026\n",
        "sep=;\nЦена;Страна;Дата\n2,50;KZ;2026-01-01\n0,0075;;\n",
    ],
)
def test_usual_tables_are_read(text: str) -> None:
    assert read(text) == [KAZAKHSTAN, ELSEWHERE]


def test_other_encodings_are_read() -> None:
    russian = "Страна;Цена;Дата\nКазахстан;2,50;01.01.2026\n"
    assert read(russian, "cp1251") == read(russian, "utf-16") == [KAZAKHSTAN]


def test_a_prefix_is_more_exact_than_its_country() -> None:
    text = "country,prefix,price\nKZ,+7 727,3\nKZ,,2\n"
    assert [entry.area for entry in read(text)] == ["7727", "KZ"]


def test_all_wrong_rows_are_named() -> None:
    with pytest.raises(BadTable) as refused:
        read("area,price,valid_from\nNarnia,1,\nKZ,-1,\nKZ,1.0000001,\nRU,1,24/11/2026\nRU,2,50,x\nDE,1,\n\nde,2,\n")
    assert refused.value.problems == [
        Problem(2, "“Narnia” is neither a country code such as KZ nor the first digits of numbers such as 7727."),
        Problem(3, "Enter a price such as 2.50, with at most 6 decimal places."),
        Problem(4, "Enter a price such as 2.50, with at most 6 decimal places."),
        Problem(5, "Enter a date such as 2026-11-24."),
        Problem(6, "The row has more cells than the first row."),
        Problem(9, "Row 7 has a price for the same numbers and day."),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The first row must name the columns"),
        ("KZ,2.50,2026-01-01", "The first row must name the columns"),
        ("area,price\n", "The file has no prices."),
        ("area,price\n" + "".join(f"{n},1\n" for n in range(1, MAX_ROWS + 2)), "The file has more than 10"),
        ("\0\1\2\3" * 100, "This file is neither CSV nor XLSX"),
    ],
)
def test_other_files_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(text)
    assert refused.value.messages[0].startswith(reason)


def test_what_is_written_is_read_again() -> None:
    entries = [ELSEWHERE, Entry("7727", JANUARY, Decimal("1.999999")), KAZAKHSTAN]
    assert read("".join(write_table(entries))) == entries
