"""Keywords: whether an incoming message, as a whole, asks to stop, to start, or for help. Pure.

Only letters and digits count, and letters that look alike are one letter, as are repetitions of a letter. So "стоп!!!",
"S T O P", "CTOП" and "Stopp" are stop words, while "Stop please" is a message for people. See decision 83.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

STOP_WORDS: Final = (
    "STOP",
    "UNSUBSCRIBE",
    "END",
    "QUIT",
    "STOPALL",
    "REVOKE",
    "OPTOUT",
    "CANCEL",
    "СТОП",
    "ОТПИСКА",
    "ОТПИСАТЬСЯ",
    "ОТМЕНА",
)
START_WORDS: Final = ("START", "YES", "UNSTOP", "СТАРТ", "ДА")
HELP_WORDS: Final = ("HELP", "INFO", "ПОМОЩЬ", "ИНФО")
MAX_WORD: Final = 40

# People say these in other conversations, too.
_AFTER_STOP: Final = ("YES", "ДА")
# More is no keyword, so there is no need to look at it.
_MAX_TEXT: Final = 500
_LOOK_ALIKE: Final = str.maketrans(
    # Cyrillic, Greek, and others, each with the Latin letter that it looks like in upper or lower case.
    "авекмнорпстухіјѕԁԛԝһӏ" + "αβεζηικμνοπρστυχ" + "ı0",
    "abekmhoppctyxijsdqwhl" + "abezhikmnoppctyx" + "io",
)
_SCRIPTS_WITHOUT_MARKS: Final = ("LATIN", "CYRILLIC", "GREEK")
_REPEATED: Final = re.compile(r"(.)\1+")


class Action(StrEnum):
    """What a keyword asks for."""

    STOP = "stop"
    START = "start"
    HELP = "help"


class Keyword(NamedTuple):
    """A word of a list, and what it asks for. `after_stop`: it means something only after a stop word."""

    word: str
    action: Action
    after_stop: bool = False

    @property
    def cyrillic(self) -> bool:
        """Whether it is written in Cyrillic letters."""
        return any(unicodedata.name(letter, "").startswith("CYRILLIC") for letter in self.word)


class Keywords:
    """The keywords of an installation. Raises ValueError for a word without letters, too long, or in two lists."""

    def __init__(
        self, stop: Iterable[str] = STOP_WORDS, start: Iterable[str] = START_WORDS, help_: Iterable[str] = HELP_WORDS
    ) -> None:
        after_stop = {skeleton(word) for word in _AFTER_STOP}
        self._words: dict[Action, Mapping[str, Keyword]] = {}
        for action, words in ((Action.STOP, stop), (Action.START, start), (Action.HELP, help_)):
            found = {skeleton(word): Keyword(word, action, skeleton(word) in after_stop) for word in words}
            self._words[action] = MappingProxyType(found)
        self._check()
        self._patterns = {action: _repetition_of(words) for action, words in self._words.items()}

    def find(self, text: str) -> Keyword | None:
        """Return the keyword that a message is, also if it consists of several keywords for the same."""
        letters = skeleton(text) if len(text) <= _MAX_TEXT else ""
        for action, pattern in self._patterns.items():
            found = pattern.match(letters)
            if found is not None:
                return self._words[action][found.group(1)]
        return None

    def _check(self) -> None:
        known: dict[str, Keyword] = {}
        for letters, keyword in ((letters, word) for words in self._words.values() for letters, word in words.items()):
            name = f"{keyword.action.name}_WORDS"
            if not letters or len(keyword.word) > MAX_WORD:
                raise ValueError(f"{name}: Not a word of at most {MAX_WORD} letters: “{keyword.word}”.")
            if letters in known:
                raise ValueError(f"{name}: “{keyword.word}” is a {known[letters].action} word already.")
            known[letters] = keyword


def skeleton(text: str) -> str:
    """Return the letters and digits of a text, folded. Texts that a reader takes for the same have the same."""
    # Twice, because folding may undo the normal form.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _REPEATED.sub(r"\1", "".join(_visible(folded)).translate(_LOOK_ALIKE))


def _visible(text: str) -> Iterable[str]:
    """Yield letters, digits, and the marks that some scripts write vowels with."""
    last = ""
    for character in text:
        if character.isalnum():
            last = character
            yield character
        elif not character.isascii() and _is_vowel(character, last):
            yield character


def _is_vowel(mark: str, letter: str) -> bool:
    """Whether a character is a mark that belongs to the letter before it, and not decoration."""
    category = unicodedata.category(mark)
    if category != "Mn":
        return category == "Mc"
    written_without = not letter or unicodedata.name(letter, "").startswith(_SCRIPTS_WITHOUT_MARKS)
    return not written_without and not _is_invisible(mark)


def _is_invisible(mark: str) -> bool:
    name = unicodedata.name(mark, "")
    return name.startswith("VARIATION SELECTOR") or name == "COMBINING GRAPHEME JOINER"


def _repetition_of(words: Iterable[str]) -> "re.Pattern[str]":
    # The longest first, and without going back: a text of many words is read in one pass.
    alternatives = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.compile(rf"({alternatives})(?:{alternatives})*+\Z")
