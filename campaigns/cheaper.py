"""Cheaper versions of a text: in the standard alphabet (GSM-7), whose parts are longer than those in Unicode.

Pure functions. Names of placeholders never change; their fallbacks are text like the rest.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from campaigns.text import PLACEHOLDER, beyond_gsm7, malformed, replace

# Characters that read the same in the standard alphabet.
_SAME: Final = {
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‘’‚‛′`´‹›", "'"),
    **dict.fromkeys("‐‑‒–—―−•·", "-"),
    "…": "...",
    "№": "No.",
    "×": "x",
    "©": "(c)",
    "®": "(R)",
    "\t": " ",
    "₽": "RUB",
    "₸": "KZT",
    "₴": "UAH",
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
}
_CYRILLIC_TWINS: Final = dict(zip("АВЕЅІЈКМНОРСТУХаеѕіјорсухһ", "ABESIJKMHOPCTYXaesijopcyxh", strict=True))
# Letters that lose a part of their shape, without being letters with accents.
_SIMILAR: Final = {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "œ": "oe", "Œ": "OE", "ħ": "h", "Ħ": "H"}
_READS_THE_SAME: Final = ("<wide>", "<narrow>", "<compat>", "<font>", "<noBreak>")
_VARIATION_SELECTORS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
_WORD: Final = re.compile(r"[^\W\d_]+")
_LATIN: Final = {
    **dict(zip("абвгдезиклмнопрстуфыэ", "abvgdeziklmnoprstufye", strict=True)),
    "ё": "yo",
    "ж": "zh",
    "й": "y",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ъ": "",
    "ь": "",
    "ю": "yu",
    "я": "ya",
    "є": "ye",
    "і": "i",
    "ї": "yi",
    "ґ": "g",
    "ў": "u",
    "ә": "a",
    "ғ": "g",
    "қ": "q",
    "ң": "n",
    "ө": "o",
    "ұ": "u",
    "ү": "u",
    "һ": "h",
}


class Rewriting(NamedTuple):
    """A text in the standard alphabet. `lost` are the characters of which it has no equivalent: accents, symbols."""

    text: str
    lost: tuple[str, ...]


def in_standard_alphabet(text: str) -> Rewriting | None:
    """Return the text with plain quotation marks, dashes, spaces and the like.

    None if it is in the standard alphabet already, or has letters that the alphabet lacks.
    """
    return _rewriting(text) if beyond_gsm7(_literal(text)) else None


def in_latin_letters(text: str) -> Rewriting | None:
    """Return a Cyrillic text in Latin letters and the standard alphabet; None if it is not Cyrillic."""
    latin = _outside_placeholders(text, _transliterated)
    return None if latin == text else _rewriting(latin)


def _rewriting(text: str) -> Rewriting | None:
    if malformed(text):
        return None
    literal = _literal(text)
    same = {**_SAME, **_CYRILLIC_TWINS} if _is_mostly_latin(literal) else _SAME
    equivalents = {character: _equivalent(character, same) for character in beyond_gsm7(literal)}
    lost = tuple(character for character, equivalent in equivalents.items() if equivalent is None)
    replacements = {**equivalents, **{character: _rest_of(character) for character in lost}}
    known = {character: each for character, each in replacements.items() if each is not None}
    if len(known) < len(replacements):
        return None
    return Rewriting(_outside_placeholders(text, lambda part: replace(part, known)), lost)


def _equivalent(character: str, same: Mapping[str, str]) -> str | None:
    """Return what reads the same in the standard alphabet; empty for an invisible character."""
    if character in same:
        return same[character]
    category = unicodedata.category(character)
    if category == "Cf" or character in _VARIATION_SELECTORS:
        return ""
    if category == "Zs":
        return " "
    compatible = unicodedata.decomposition(character).startswith(_READS_THE_SAME)
    return _standard(unicodedata.normalize("NFKC", character)) if compatible else None


def _rest_of(character: str) -> str | None:
    """Return a letter without its accents, and nothing for a symbol; None for another alphabet's letter."""
    if character in _SIMILAR:
        return _SIMILAR[character]
    if unicodedata.category(character) in ("So", "Sk", "Mn"):
        return ""
    decomposed = unicodedata.normalize("NFD", character)
    return _standard("".join(each for each in decomposed if not unicodedata.combining(each)))


def _standard(text: str) -> str | None:
    """Return the text if it is in the standard alphabet and can't be read as a placeholder."""
    return text if text and not beyond_gsm7(text) and not set(text) & set("{}") else None


def _is_mostly_latin(text: str) -> bool:
    latin = sum(character.isascii() and character.isalpha() for character in text)
    return latin > sum("\u0400" <= character <= "\u04ff" for character in text)


def _literal(text: str) -> str:
    """Return a text without the names of its placeholders."""
    return PLACEHOLDER.sub(lambda found: found[2] or "", text)


def _outside_placeholders(text: str, rewrite: Callable[[str], str]) -> str:
    """Rewrite all but the names of placeholders."""
    result, position = "", 0
    for found in PLACEHOLDER.finditer(text):
        fallback = "" if found[2] is None else f"|{rewrite(found[2])}"
        result += f"{rewrite(text[position : found.start()])}{{{found[1]}{fallback}}}"
        position = found.end()
    return result + rewrite(text[position:])


def _transliterated(text: str) -> str:
    return _WORD.sub(lambda found: _latin_word(found[0]), text)


def _latin_word(word: str) -> str:
    """Return a word in Latin letters: `Щука` → `Shchuka`, `ЩУКА` → `SHCHUKA`."""
    capitals = len(word) > 1 and word.isupper()
    letters = ((letter, _LATIN.get(letter.lower(), letter)) for letter in word)
    return "".join(
        latin if latin == letter or letter.islower() else latin.upper() if capitals else latin.capitalize()
        for letter, latin in letters
    )
