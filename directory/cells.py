"""Cells of files for spreadsheets, pure: a text that begins like a formula is defused on the way out, and back."""

import re
from typing import Final

# An apostrophe makes a spreadsheet take the rest for text; one that stands there already gets another.
_LIKE_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_DEFUSED: Final = re.compile(r"'+[=+\-@\t\r]")


def defused(text: str) -> str:
    """The text as no spreadsheet runs it."""
    return f"'{text}" if _LIKE_FORMULA.match(text) else text


def restored(cell: str) -> str:
    """The reverse of `defused`."""
    return cell[1:] if _DEFUSED.match(cell) else cell
