"""Cells of exported files: escape texts that look like formulas, and undo that on import. No I/O."""

import re
import unicodedata
from typing import Final

# An apostrophe makes a spreadsheet read the rest as text. A text that starts with apostrophes gets one more.
# Spreadsheets treat full-width, small and superscript forms of the four characters like the characters themselves.
_VARIANTS: Final = "".join(
    character for character in map(chr, range(0x80, 0x10000)) if unicodedata.normalize("NFKC", character) in set("=+-@")
)
_LIKE_FORMULA: Final = re.compile(rf"'*[=+\-@\t\r\n{_VARIANTS}]")
_ESCAPED: Final = re.compile(rf"'+[=+\-@\t\r\n{_VARIANTS}]")


def escape_formula(text: str) -> str:
    """Return the text so that no spreadsheet runs it."""
    return f"'{text}" if _LIKE_FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """Undo `escape_formula`."""
    return cell[1:] if _ESCAPED.match(cell) else cell
