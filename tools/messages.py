"""Translations without GNU gettext: `python -m tools.messages update | check | compile`.

update   collects every translatable string of code and templates into the .po files, and keeps translations
check    names what is not translated, fuzzy, out of date, or loses a placeholder; exits with 1 if there are any
compile  writes the .mo files that Django reads
"""

import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
APPS = ("accounts", "campaigns", "directory", "project", "reports")
LANGUAGES = ("ru",)
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z](?![a-z])|\{[\w|.:]*\}")


def po_file(language: str, root: Path = ROOT) -> Path:
    """Return the path of a language's translations."""
    return root / "locale" / language / "LC_MESSAGES" / "django.po"


def sources(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the path and Python source of each file that may have strings."""
    for app in APPS:
        for path in sorted(root.glob(f"{app}/**/*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(root).as_posix(), path.read_bytes()
    for path in sorted(root.glob("templates/**/*")):
        if path.suffix in {".html", ".txt"}:
            name = path.relative_to(root).as_posix()
            # Django turns a template into gettext calls and other text, whose indents would upset Python's tokenizer.
            lines = templatize(path.read_text(), origin=name).splitlines()
            yield name, "\n".join(line.strip() for line in lines).encode()


def template_catalog(root: Path = ROOT) -> Catalog:
    """Return all strings with their files, but without line numbers, so that moving a string changes nothing."""
    catalog = Catalog(project="Vestnik", charset="utf-8")
    for name, source in sources(root):
        options = {"encoding": "utf-8"}
        for _line, message, _comments, context in extract("python", BytesIO(source), KEYWORDS, options=options):
            catalog.add(message, locations=[(name, 0)], context=context)
    return catalog


def read(path: Path, language: str) -> Catalog:
    """Read the existing translations."""
    if not path.exists():
        return Catalog(
            locale=language,
            project="Vestnik",
            version="1",
            header_comment="# The translations of Vestnik. `make messages` keeps this file in step with the source.",
            msgid_bugs_address="none",
            last_translator="none",
            language_team="none",
            revision_date=datetime.now(UTC),
            fuzzy=False,
        )
    with path.open("rb") as file:
        return read_po(file, locale=language)


def write(path: Path, catalog: Catalog) -> None:
    """Write the translations, ordered by file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, width=100, sort_by_file=True, include_lineno=False)


def update(language: str, root: Path = ROOT) -> list[str]:
    """Update a language's file with the strings of the source. Unused translations are dropped."""
    path = po_file(language, root)
    catalog = read(path, language)
    catalog.update(template_catalog(root), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    write(path, catalog)
    return []


def check(language: str, root: Path = ROOT) -> list[str]:
    """Return the problems of a language's translations, one line each."""
    catalog, needed = read(po_file(language, root), language), template_catalog(root)
    problems = []
    for message in needed:
        if message.id:
            found = catalog.get(message.id, message.context)
            problem = problem_of(found) if found and found.id == message.id else "missing: run `make messages`"
            if problem:
                problems.append(f"{message.locations[0][0]}: {first(message)!r}: {problem}")
    gone = (message for message in catalog if message.id and needed.get(message.id, message.context) is None)
    return problems + [f"{first(message)!r}: used nowhere: run `make messages`" for message in gone]


def first(message: Message) -> str:
    """Return the English text, the singular if there are two forms."""
    return message.id if isinstance(message.id, str) else message.id[0]


def problem_of(message: Message) -> str | None:
    """Return why a translation is unusable, or None."""
    forms = [message.string] if isinstance(message.string, str) else list(message.string or [""])
    if not all(forms):
        return "not translated"
    if message.fuzzy:
        return "fuzzy"
    original = message.id if isinstance(message.id, str) else message.id[-1]
    wanted = sorted(PLACEHOLDER.findall(original))
    if any(sorted(PLACEHOLDER.findall(form)) != wanted for form in forms):
        return f"the translation must hold exactly {', '.join(wanted) or 'no placeholder'}"
    return None


def compile_mo(language: str, root: Path = ROOT) -> list[str]:
    """Write the binary file for Django."""
    path = po_file(language, root)
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, read(path, language))
    return []


COMMANDS: dict[str, Callable[[str], list[str]]] = {"update": update, "check": check, "compile": compile_mo}


def main() -> None:
    """Run one command for all languages."""
    command = COMMANDS.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if command is None:
        sys.exit(__doc__)
    problems = [f"{language}: {problem}" for language in LANGUAGES for problem in command(language)]
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
