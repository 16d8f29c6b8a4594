"""Ordinary and broken files: each is imported completely or refused with a clear reason."""

import re
import struct
import zipfile
import zlib
from io import BytesIO

import pytest
from django.core.exceptions import ValidationError

from accounts.models import User
from directory.imports import workbook_limits
from directory.imports.models import Chunk, ImportStatus
from directory.models import Contact
from tests.directory.imports.helpers import run, workbook

HEAD = "phone;Имя;Фамилия;город\n"
ANNA = "+7 999 123-45-67;Анна;Ким;Омск\n"
TEXT = HEAD + ANNA + "8 (903) 555-01-12;Пётр;Ёлкин;Орёл\n"


def packed(**members: bytes) -> bytes:
    """A zip archive of those members; `__` stands for `/`."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/") + ".xml", data)
    return content.getvalue()


def zip_bomb() -> bytes:
    """A workbook whose archive declares few bytes but expands to gigabytes."""
    bomb = bytearray(packed(xl__workbook=b"<workbook/>", xl__sheet=bytes(300 * 1024**2)))
    size = struct.pack("<L", 300 * 1024**2)
    return bytes(bomb).replace(size, struct.pack("<L", 100)).replace(struct.pack("<L", zlib.crc32(b"")), b"\0" * 4)


def hostile(sheet: str = "", *, strings: str = "", styles: str = "") -> bytes:
    """A workbook with its sheet, strings or styles replaced by other XML."""
    namespace = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    parts = {
        "xl/worksheets/sheet1.xml": f"<worksheet {namespace}><sheetData>{sheet}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f"<sst {namespace}>{strings}</sst>",
        "xl/styles.xml": f"<styleSheet {namespace}><cellXfs>{styles}</cellXfs></styleSheet>",
    }
    content = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(workbook(["phone"], ["79991234567"]))) as usual,
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in usual.namelist():
            archive.writestr(name, parts[name] if name in parts else usual.read(name))
    return content.getvalue()


def entities() -> bytes:
    """A workbook with endless XML."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    xml = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{levels}]><workbook>&e11;</workbook>'
    return packed(xl__workbook=xml.encode(), **{"[Content_Types]": xml.encode()})


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("cp1251"),
        TEXT.encode("koi8-r"),
        TEXT.encode("cp866"),
        TEXT.encode("mac-cyrillic"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode("cp1251"),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\r\n", 1).encode(),
        TEXT.replace(";", ",").encode(),
        TEXT.replace(";", "\t").encode(),
        TEXT.replace(";", "|").encode(),
        TEXT.rstrip().encode(),
        ("\n\n" + TEXT.replace("\n", "\n\n") + ";;;\n").encode(),
        TEXT.replace("Омск", '"Омск"').replace("Ким", '"Ким"').encode(),
        workbook(*[line.split(";") for line in TEXT.splitlines()]),
        workbook(
            ["Телефон", "Имя", "Фамилия", "город"],
            [79991234567, "Анна", "Ким", "Омск"],
            [79035550112.0, "Пётр", "Ёлкин", "Орёл"],
        ),
    ],
    ids=range(20),
)
def test_ordinary_file_is_imported_completely(alice: User, content: bytes) -> None:
    done = run(alice, content)
    assert (done.status, done.created, done.rejected, done.rows) == (ImportStatus.FINISHED, 2, 0, 2), done.error
    found = Contact.objects.order_by("-phone").values_list("phone", "first_name", "last_name", "attributes")
    assert list(found) == [
        (79991234567, "Анна", "Ким", {"город": "Омск"}),
        (79035550112, "Пётр", "Ёлкин", {"город": "Орёл"}),
    ]
    assert not Chunk.objects.exists()


def test_a_cell_may_span_lines_and_hold_quotes(alice: User) -> None:
    run(alice, 'phone,note\n79991234567,"first\r\nsecond, ""quoted"""\n')
    assert Contact.objects.get().attributes == {"note": 'first\r\nsecond, "quoted"'}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\xef\xbb\xbf", "no rows"),
        (b",,,\n,,\n", "no rows"),
        (bytes(range(256)) * 40, "neither"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(900), "neither"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900), "old Excel"),
        (b"PK\x03\x04" + bytes(900), "damaged"),
        (packed(word__document=b"<document/>"), "neither"),
        (packed(xl__workbook=b"<workbook"), "damaged"),
        (workbook(["phone"], ["79991234567"])[:-900], "damaged"),
        (packed(xl__workbook=b"<workbook/>", xl__sheet=bytes(200 * 1024**2)), "too large when unpacked"),
        (hostile("<row>" + "<c/>" * 1_500_000 + "</row>"), "too large when unpacked"),
        (hostile("<row>" + "<row/>" * 70_000 + "</row>"), "too large when unpacked"),
        (hostile("<row><c>" + "<v>1</v>" * 70_000 + "</c></row>"), "too large when unpacked"),
        (hostile('<row><c r="ZZZZZ1"><v>1</v></c></row>'), "damaged"),
        (hostile(styles="<xf/>" * 250_000), "too large when unpacked"),
        (packed(xl__workbook=b"<workbook/>", media__image1=b"<sst>" + b"<si/>" * 1_100_000), "too large when unpacked"),
        (zip_bomb(), "damaged"),
        (entities(), "damaged"),
        (workbook([f"c{n}" for n in range(300)], ["79991234567"]), "300 columns"),
        (workbook([]), "no rows"),
        ((",".join(f"c{n}" for n in range(10_000)) + "\n").encode(), "10000 columns"),
        (b"phone,note\n79991234567," + b"x" * 10_000_000 + b"\n", "Row 2 has more than 262144 characters"),
        (b"phone,note\n79991234567," + b"x" * 40_000 + b"\n", "more than 32767 characters"),
        (b"phone,note\n79991234567,x" + b"," * 10_000_000 + b"\n", "Row 2 has more than 262144 characters"),
        (b'phone,note\n79991234567,"open\n79991234568,x\n', "A quotation mark is opened in row 2"),
        (b'phone,note\n79991234567,"open\n' + b"79991234568,x\n" * 9000, "Is a closing quotation mark missing"),
        (b"phone\n79991234567\n" * 200_000 + b'a,"', "quotation mark is opened"),
        (b"name,city\nAnna,Omsk\n", "the column that contains the phone number"),
        (b"+7 999 123-45-67;" * 300, "300 columns|301 columns"),
        (TEXT.encode("utf-16-le") + b"\x00", "can’t be read with this encoding"),
    ],
    ids=range(32),
)
def test_invalid_file_reports_the_reason_and_writes_nothing(alice: User, content: bytes, reason: str) -> None:
    try:
        done = run(alice, content)
    except ValidationError as error:
        message = " ".join(error.messages)
    else:
        assert done.status == ImportStatus.FAILED
        message = done.error
    assert re.search(reason, message), message
    assert not Contact.objects.exists()
    assert not Chunk.objects.filter(import_job__status=ImportStatus.FAILED).exists()


def test_a_workbook_that_takes_too_long_is_refused(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_limits, "SECONDS", 0)
    done = run(alice, workbook(["phone"], ["79991234567"]))
    assert (done.status, "takes too long" in done.error) == (ImportStatus.FAILED, True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HEAD.encode() + b"7999\x001234568;x;y;z\n", "phone number"),
        (HEAD.encode() + "79991234568;Ан\0на;y;z\n".encode(), "Use letters"),
        (HEAD.encode() + b"79991234568;A;B;\xd0\n", "can’t be stored"),
        (HEAD.encode() + b"79991234568;\xff\xfe;B;x\n", "Use letters"),
        ((HEAD + "79991234568;=cmd|' /C calc'!A0;y;z\n").encode(), "Use letters"),
        ((HEAD + '=HYPERLINK("http://x");A;y;z\n').encode(), "phone number"),
        ((HEAD + "7,99912E+10;A;y;z\n").encode(), "has rounded this phone"),
        ((HEAD + "79991234568;A;y;z;more;and more\n").encode(), "more cells than there are columns"),
        ((HEAD + f"79991234568;{'я' * 151};y;z\n").encode(), "150"),
        ((HEAD + f"79991234568;A;y;{'я' * 501}\n").encode(), "longer than 500"),
        (("phone;часовой пояс\n79991234568;Mars\n").encode(), "time zone"),
        ((b"phone;opted_out\n79991234568;perhaps\n"), "True or False"),
        ((b"phone;operator code\n79991234568;903\n"), "operator code"),
    ],
    ids=range(13),
)
def test_invalid_row_is_rejected_alone(alice: User, content: bytes, reason: str) -> None:
    width = content.decode("utf-8", "replace").partition("\n")[0].count(";")
    done = run(alice, content + ("79990000000" + ";" * width + "\n").encode())
    assert (done.status, done.created, done.rejected) == (ImportStatus.FINISHED, 1, 1), done.error
    assert reason in done.rejected_rows.get(row=2).reason
    assert Contact.objects.get().phone == 79990000000


def test_formulas_of_a_workbook_are_not_run(alice: User) -> None:
    done = run(alice, workbook(["phone", "city"], ["79991234567", "=1+1"], ["=79990000000+1", "Omsk"]))
    assert (done.created, done.rejected) == (1, 1)
    assert Contact.objects.get().attributes == {}


def test_columns_may_have_the_same_name(alice: User) -> None:
    done = run(alice, "phone,name,name,phone,city,city\n79991234567,Анна,Инна,79990000000,Омск,Орёл\n")
    assert done.created == 1
    contact = Contact.objects.get()
    assert (contact.phone, contact.first_name, contact.attributes) == (79991234567, "Анна", {"city": "Омск"})


def test_without_a_header_the_columns_are_numbered_and_the_phone_is_found(alice: User) -> None:
    done = run(alice, "Анна,8 999 123-45-67\nПётр,8 903 555-01-12\n")
    assert (done.header, done.mapping, done.created) == (["Column 1", "Column 2"], ["", "phone"], 2)
