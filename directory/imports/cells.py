"""Cells of workbooks as CSV, without I/O: numbers and booleans keep their types."""

from typing import Any, Final

# XML does not allow this character, so no cell of a workbook contains it.
_MARK: Final = "\x1f"


class TypedCell(str):
    """The text of a number or boolean in a workbook, with its value."""

    value: Any

    @classmethod
    def from_value(cls, value: Any) -> "TypedCell":
        """Create a cell from a value. A number without a fraction shows none."""
        normalised = int(value) if isinstance(value, float) and value.is_integer() else value
        cell = cls(str(normalised).lower() if isinstance(normalised, bool) else normalised)
        cell.value = normalised
        return cell


def encode_cell(cell: TypedCell) -> str:
    """Encode a cell for CSV."""
    return f"{_MARK}{cell}"


def decode_cell(cell: str) -> str:
    """Undo `encode_cell`; other cells stay as they are."""
    if not cell.startswith(_MARK):
        return cell
    text = cell[1:]
    if text in ("true", "false"):
        return TypedCell.from_value(text == "true")
    try:
        return TypedCell.from_value(float(text) if "." in text or "e" in text else int(text))
    except ValueError:
        return text
