"""Files of other programs, with their encodings, separators, quotes and column names, and the expected results."""

import csv
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

from accounts.models import User
from directory.imports.models import ImportStatus
from directory.models import Contact
from tests.directory.imports.helpers import draft, run, workbook

ANNA, PETER = (79161234567, "Анна", "Ким"), (79035550112, "Пётр", "Ёлкин")
JOHN = (79161234567, "John", "O'Hara")


@dataclass(frozen=True)
class File:
    """A file, the expected phone and name columns, and the expected contacts."""

    name: str
    content: bytes
    columns: tuple[str, str, str]
    contacts: tuple[tuple[int, str, str], ...] = (ANNA, PETER)
    tags: frozenset[str] = frozenset()


def table(*rows: list[str], sep: str = ",", encoding: str = "utf-8", quoted_all: bool = False) -> bytes:
    """Rows as CSV with Windows line ends."""
    text = StringIO(newline="")
    csv.writer(
        text, delimiter=sep, quoting=csv.QUOTE_ALL if quoted_all else csv.QUOTE_MINIMAL, lineterminator="\r\n"
    ).writerows(rows)
    return text.getvalue().encode(encoding)


def names(*lines: str) -> list[str]:
    """Column names, separated by commas."""
    return ",".join(lines).split(",")


GOOGLE_NEW = names(
    "First Name,Middle Name,Last Name,Phonetic First Name,Phonetic Last Name,Nickname,Organization Name,Birthday",
    "Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value",
    "Phone 2 - Label,Phone 2 - Value",
)
GOOGLE_OLD = names(
    "Name,Given Name,Additional Name,Family Name,Yomi Name,Given Name Yomi,Family Name Yomi,Nickname,Birthday",
    "Notes,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value",
    "Phone 2 - Type,Phone 2 - Value",
)
OUTLOOK_EN = names(
    "Title,First Name,Middle Name,Last Name,Suffix,Company,Job Title,Assistant's Phone,Business Fax,Business Phone",
    "Business Phone 2,Callback,Car Phone,Company Main Phone,Home Fax,Home Phone,Home Phone 2,ISDN,Mobile Phone",
    "Other Fax,Other Phone,Pager,Primary Phone,Radio Phone,TTY/TDD Phone,Telex,Categories,E-mail Address",
)
OUTLOOK_RU = names(
    "Обращение,Имя,Отчество,Фамилия,Суффикс,Организация,Должность,Телефон помощника,Рабочий факс,Рабочий телефон",
    "Телефон раб. 2,Обратный вызов,Телефон в машине,Основной телефон организации,Домашний факс,Домашний телефон",
    "Телефон дом. 2,ISDN,Телефон переносной,Другой факс,Другой телефон,Пейджер,Основной телефон,Радиотелефон",
    "Телетайп/телефон с титрами,Телекс,Категории,Адрес эл. почты",
)
BITRIX = names(
    "ID,Тип контакта,Обращение,Имя,Отчество,Фамилия,Рабочий телефон,Мобильный телефон,Номер факса,Домашний телефон",
    "Номер пейджера,Телефон для SMS-рассылки,Рабочий e-mail",
)
AMO = names(
    "ID,Тип,Наименование,Имя,Фамилия,Компания,Теги,Рабочий телефон,Рабочий прямой телефон,Мобильный телефон,Факс",
    "Домашний телефон,Другой телефон,Рабочий email",
)
UNISENDER = ["email", "email_status", "phone", "phone_status", "Name", "tags"]
LINES = ("+7 495 123-45-67", "8 (812) 555-12-12")


def row(header: list[str], **cells: str) -> list[str]:
    """A row with those cells, the others empty; `_` replaces characters that Python names can't have."""
    known = {"".join(filter(str.isalnum, name)): name for name in header}
    wanted = {known[name.replace("_", "")]: cell for name, cell in cells.items()}
    return [wanted.get(name, "") for name in header]


def google_new(first: str, second: str, **more: str) -> bytes:
    phones = {"Phone1Label": "Work", "Phone2Label": "Mobile", "Phone1Value": LINES[0]}
    return table(
        GOOGLE_NEW,
        row(GOOGLE_NEW, FirstName="Анна", LastName="Ким", Phone2Value=first, **phones, **more),
        row(GOOGLE_NEW, FirstName="Пётр", LastName="Ёлкин", Phone2Value=second, **phones),
    )


def google_old(encoding: str = "utf-8", **more: str) -> bytes:
    labels = {"Phone1Type": "Mobile"}
    anna = {"Name": "Анна Ким", "GivenName": "Анна", "FamilyName": "Ким", "Phone1Value": "+7 916 123-45-67"}
    peter = {"Name": "Пётр Ёлкин", "GivenName": "Пётр", "FamilyName": "Ёлкин", "Phone1Value": "8 (903) 555-01-12"}
    return table(
        GOOGLE_OLD, row(GOOGLE_OLD, **anna, **labels, **more), row(GOOGLE_OLD, **peter, **labels), encoding=encoding
    )


def outlook(header: list[str], names: tuple[str, str], lines: tuple[str, ...], mobile: str, **how: Any) -> bytes:
    """Two people with the phone in `mobile`, and landlines in the columns `lines`."""
    people = [("Анна", "Ким", "+7 (916) 123-45-67"), ("Пётр", "Ёлкин", "+7 (903) 555-01-12")]
    rows = [
        row(header, **{names[0]: first, names[1]: last, mobile: phone, **dict(zip(lines, LINES, strict=False))})
        for first, last, phone in people
    ]
    return table(header, *rows, quoted_all=True, **how)


def crm(header: list[str], phone: str, written: tuple[str, str], lines: tuple[str, ...], **how: Any) -> bytes:
    rows = [
        row(header, Имя=first, Фамилия=last, **{phone: number}, **dict(zip(lines, LINES, strict=False)))
        for (first, last), number in zip([("Анна", "Ким"), ("Пётр", "Ёлкин")], written, strict=True)
    ]
    return table(header, *rows, **{"sep": ";", "quoted_all": True, **how})


def simple(
    first: str, second: str, *, head: str = "Телефон;Имя;Фамилия", encoding: str = "utf-8", sep: str = ";"
) -> bytes:
    rows = [head.split(";"), [first, "Анна", "Ким"], [second, "Пётр", "Ёлкин"]]
    return table(*rows, sep=sep, encoding=encoding)


def card(*lines: str, encoding: str = "utf-8") -> bytes:
    return "\r\n".join(["BEGIN:VCARD", *lines, "END:VCARD", ""]).encode(encoding)


def quoted(text: str, encoding: str = "utf-8") -> str:
    return "".join(f"={byte:02X}" for byte in text.encode(encoding))


NAMES_NEW, NAMES_OLD = ("First Name", "Last Name"), ("Given Name", "Family Name")
RU, EN = ("Имя", "Фамилия"), ("FirstName", "LastName")
PLAIN = ("+7 916 123-45-67", "8 (903) 555-01-12")
CARD = ("phone", "first_name", "last_name")
FILES = [
    File("Google, new, landline first", google_new(*PLAIN), ("Phone 2 - Value", *NAMES_NEW)),
    File(
        "Google, new, with labels",
        google_new(*PLAIN, Labels="VIP ::: * myContacts"),
        ("Phone 2 - Value", *NAMES_NEW),
        tags=frozenset({"vip"}),
    ),
    File(
        "Google, new, several in a cell",
        google_new("+7 495 123-45-67 ::: +7 916 123-45-67", PLAIN[1]),
        ("Phone 2 - Value", *NAMES_NEW),
    ),
    File("Google, old", google_old(), ("Phone 1 - Value", *NAMES_OLD)),
    File(
        "Google, old, with groups",
        google_old(GroupMembership="* myContacts ::: VIP"),
        ("Phone 1 - Value", *NAMES_OLD),
        tags=frozenset({"vip"}),
    ),
    File("Google, old, UTF-16", google_old("utf-16"), ("Phone 1 - Value", *NAMES_OLD)),
    File(
        "Outlook, English",
        outlook(OUTLOOK_EN, EN, ("BusinessPhone", "HomePhone"), "MobilePhone", encoding="cp1251"),
        ("Mobile Phone", *NAMES_NEW),
    ),
    File(
        "Outlook, English, UTF-8",
        outlook(
            OUTLOOK_EN, ("FirstName", "LastName"), ("BusinessFax", "PrimaryPhone"), "MobilePhone", encoding="utf-8-sig"
        ),
        ("Mobile Phone", *NAMES_NEW),
    ),
    File(
        "Outlook, English, mobiles at home",
        outlook(OUTLOOK_EN, ("FirstName", "LastName"), ("BusinessPhone",), "HomePhone", encoding="utf-8-sig"),
        ("Home Phone", *NAMES_NEW),
    ),
    File(
        "Outlook, Russian",
        outlook(OUTLOOK_RU, RU, ("Рабочийтелефон", "Домашнийтелефон"), "Телефонпереносной", encoding="cp1251"),
        ("Телефон переносной", *RU),
    ),
    File(
        "Outlook, Russian, with fax",
        outlook(OUTLOOK_RU, RU, ("Рабочийфакс", "Основнойтелефон"), "Телефонпереносной", encoding="cp1251"),
        ("Телефон переносной", *RU),
    ),
    File(
        "Outlook, Russian, mobiles at work",
        outlook(OUTLOOK_RU, RU, ("Домашнийтелефон",), "Рабочийтелефон", encoding="cp1251"),
        ("Рабочий телефон", *RU),
    ),
    File(
        "Outlook, Russian, UTF-8, semicolons",
        outlook(OUTLOOK_RU, RU, ("Рабочийтелефон",), "Телефонпереносной", encoding="utf-8-sig", sep=";"),
        ("Телефон переносной", *RU),
    ),
    File(
        "Bitrix, UTF-8",
        crm(BITRIX, "Мобильныйтелефон", PLAIN, ("Рабочийтелефон",), encoding="utf-8-sig"),
        ("Мобильный телефон", *RU),
    ),
    File(
        "Bitrix, Windows-1251, work phones",
        crm(BITRIX, "Рабочийтелефон", PLAIN, ("Домашнийтелефон",), encoding="cp1251"),
        ("Рабочий телефон", *RU),
    ),
    File(
        "Bitrix, for SMS, several in a cell",
        crm(BITRIX, "ТелефондляSMSрассылки", ("84951234567, 79161234567", PLAIN[1]), ()),
        ("Телефон для SMS-рассылки", *RU),
    ),
    File(
        "amoCRM, apostrophes",
        crm(AMO, "Мобильныйтелефон", ("'+79161234567", "'+79035550112"), ("Рабочийтелефон",), sep=","),
        ("Мобильный телефон", *RU),
    ),
    File(
        "amoCRM, work phones, semicolons",
        crm(AMO, "Рабочийтелефон", ("'+79161234567", "'+79035550112"), ("Факс",), encoding="utf-8-sig"),
        ("Рабочий телефон", *RU),
    ),
    File(
        "amoCRM, workbook",
        workbook(
            AMO,
            row(AMO, Имя="Анна", Фамилия="Ким", Мобильныйтелефон="+79161234567", Теги="VIP, новый"),
            row(AMO, Имя="Пётр", Фамилия="Ёлкин", Мобильныйтелефон="+79035550112"),
        ),
        ("Мобильный телефон", *RU),
        tags=frozenset({"vip", "новый"}),
    ),
    File(
        "1C, Windows-1251",
        simple(*PLAIN, head="Номер телефона;Имя;Фамилия", encoding="cp1251"),
        ("Номер телефона", *RU),
    ),
    File(
        "1C, UTF-16, tabs, grouped digits",
        simple("79\u00a0161\u00a0234\u00a0567", "79\u00a0035\u00a0550\u00a0112", encoding="utf-16", sep="\t"),
        ("Телефон", *RU),
    ),
    File(
        "1C, tax numbers like phones beside",
        table(
            ["ИНН", "Имя", "Фамилия", "Телефон"],
            ["9161234568", "Анна", "Ким", PLAIN[0]],
            ["9161234569", "Пётр", "Ёлкин", PLAIN[1]],
            sep=";",
            encoding="cp1251",
        ),
        ("Телефон", *RU),
    ),
    File(
        "1C, workbook, numbers",
        workbook(["Имя", "Фамилия", "Телефон"], ["Анна", "Ким", 79161234567], ["Пётр", "Ёлкин", 89035550112]),
        ("Телефон", *RU),
    ),
    File(
        "UniSender",
        table(UNISENDER, ["a@example.org", "active", "79161234567", "active", "Анна", "vip"]),
        ("phone", "Name", ""),
        ((79161234567, "Анна", ""),),
        frozenset({"vip"}),
    ),
    File(
        "UniSender, semicolons, BOM",
        table(UNISENDER, ["a@example.org", "", "+79161234567", "", "Анна", ""], sep=";", encoding="utf-8-sig"),
        ("phone", "Name", ""),
        ((79161234567, "Анна", ""),),
    ),
    File(
        "UniSender, Windows-1251",
        table(["email", "Телефон", "Имя"], ["a@example.org", "79161234567", "Анна"], sep=";", encoding="cp1251"),
        ("Телефон", "Имя", ""),
        ((79161234567, "Анна", ""),),
    ),
    File(
        "iCloud vCard",
        card(
            "VERSION:3.0",
            "PRODID:-//Apple Inc.//iOS 17.0//EN",
            "N:Ким;Анна;;;",
            "FN:Анна Ким",
            "ORG:Ромашка\\, ООО;",
            "item1.TEL;type=pref:+7 495 123-45-67",
            "item1.X-ABLabel:Рабочий",
            "TEL;type=CELL;type=VOICE;type=pref:+7 916 123-45-67",
            "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAASAB",
            " IAAD/4QBYRXhpZgAATU0AKgAAAAgAAgESAAMAAAABAAEAAIdpAAQAAAABAAAAJgAAAAAAA6AB",
        )
        + card("VERSION:3.0", "N:Ёлкин;Пётр;;;", "FN:Пётр Ёлкин", "TEL;type=IPHONE:8 (903) 555-01-12"),
        CARD,
    ),
    File(
        "Android vCard 2.1",
        card(
            "VERSION:2.1",
            f"N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{quoted('Ким;Анна')};;;",
            f"FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{quoted('Анна Ким')}",
            "TEL;CELL:+79161234567",
            "TEL;HOME:84951234567",
        )
        + card(
            "VERSION:2.1",
            f"N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{quoted('Ёлкин')};=",
            f"{quoted('Пётр')};;;",
            "TEL;CELL;PREF:8-903-555-01-12",
        ),
        CARD,
    ),
    File(
        "Outlook vCard",
        card(
            "VERSION:2.1",
            "N;LANGUAGE=ru;CHARSET=windows-1251:Ким;Анна",
            "TEL;WORK;FAX:+7 (495) 123-45-68",
            "TEL;CELL;VOICE:+7 (916) 123-45-67",
            encoding="cp1251",
        )
        + card(
            "VERSION:2.1",
            "N;LANGUAGE=ru;CHARSET=windows-1251:Ёлкин;Пётр",
            "TEL;CELL:+7 (903) 555-01-12",
            encoding="cp1251",
        ),
        CARD,
    ),
    File(
        "vCard 4.0",
        card("VERSION:4.0", "N:Ким;Анна;;;", "TEL;VALUE=uri;TYPE=cell:tel:+7-916-123-45-67", "CATEGORIES:VIP,новый")
        + card("VERSION:4.0", "FN:Пётр", "N:Ёлкин;Пётр;;;", "TEL;VALUE=uri:tel:+79035550112"),
        CARD,
        tags=frozenset({"vip", "новый"}),
    ),
    File("LibreOffice, exponents", simple("7.9161234567E+10", "7.9035550112E+10", sep=","), ("Телефон", *RU)),
    File("LibreOffice, Russian exponents", simple("7,9161234567E+10", "7,9035550112E+10"), ("Телефон", *RU)),
    File("LibreOffice, fractions", simple("79161234567.0", "79035550112,00"), ("Телефон", *RU)),
    File("LibreOffice, tabs, apostrophes", simple("'79161234567", "'8 903 555-01-12", sep="\t"), ("Телефон", *RU)),
    File(
        "Numbers, semicolons",
        simple(*PLAIN, head="Мобильный;Имя;Фамилия").replace(b"\r\n", b"\n"),
        ("Мобильный", *RU),
    ),
    File(
        "Numbers, commas",
        simple(*PLAIN, head="Mobile;First name;Last name", sep=","),
        ("Mobile", "First name", "Last name"),
    ),
    File(
        "Excel, sep=",
        b"\xef\xbb\xbfsep=;\r\n" + simple(*PLAIN),
        ("Телефон", *RU),
    ),
    File(
        "Excel, sep= in Windows-1251",
        b"sep=|\r\n" + simple(*PLAIN, encoding="cp1251", sep="|"),
        ("Телефон", *RU),
    ),
    File("Excel, Unicode text", simple(*PLAIN, encoding="utf-16", sep="\t"), ("Телефон", *RU)),
    File("Excel, numbers kept as text", simple('="79161234567"', '="+79035550112"'), ("Телефон", *RU)),
    File(
        "Excel, columns without known names",
        simple(*PLAIN, head="Куда писать;Имя;Фамилия", encoding="cp1251"),
        ("Куда писать", *RU),
    ),
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_file_of_another_program_is_mapped(alice: User, file: File) -> None:
    guessed = draft(alice, file.content, file.name)
    assert guessed.status == ImportStatus.DRAFT, guessed.error
    named = dict(zip(guessed.mapping, guessed.header, strict=True))
    assert tuple(named.get(field, "") for field in ("phone", "first_name", "last_name")) == file.columns
    done = run(alice, file.content)
    assert (done.status, done.rejected) == (ImportStatus.FINISHED, 0), [row.reason for row in done.rejected_rows.all()]
    found = Contact.objects.order_by("-phone").values_list("phone", "first_name", "last_name")
    assert tuple(found) == file.contacts
    assert set(Contact.objects.exclude(tags=None).values_list("tags__name", flat=True)) == file.tags


def test_there_are_forty_sample_files() -> None:
    assert len({file.name for file in FILES}) >= 40


@pytest.mark.parametrize("cell", ["7.91612E+10", "7,91612E+10", "7.9161234567E+11", "8E+10"])
def test_a_rounded_phone_is_refused_with_its_cause(alice: User, cell: str) -> None:
    done = run(alice, simple(cell, "8 (903) 555-01-12"))
    assert (done.created, done.rejected) == (1, 1)
    assert "A spreadsheet program has rounded this phone number." in done.rejected_rows.get().reason


def test_numbers_and_booleans_of_a_workbook_keep_their_types(alice: User) -> None:
    run(alice, workbook(["phone", "a", "b", "c", "d", "e"], [79161234567, 30.0, 0.5, 0, True, "30"]))
    attributes = Contact.objects.get().attributes
    assert attributes == {"a": 30, "b": 0.5, "c": 0, "d": True, "e": "30"}
    assert [type(value) for value in attributes.values()] == [int, float, int, bool, str]


def test_a_number_that_a_spreadsheet_writes_without_its_fraction_is_the_same(alice: User) -> None:
    run(alice, workbook(["phone", "points"], [79161234567, 30]))
    Contact.objects.update(attributes={"points": 30.0})
    assert run(alice, b"phone,points\n79161234567,30\n").unchanged == 1
