"""A trial of an import: its rows are checked, and nothing is written."""

from dataclasses import dataclass
from itertools import islice
from typing import Final

from django.core.exceptions import ValidationError

from accounts.models import User
from directory.contacts.upsert import Outcome, contacts_prepare
from directory.imports import columns, files, services
from directory.imports.models import Import

MAX_TRIED: Final = 20_000
MAX_REFUSALS: Final = 100


@dataclass(frozen=True)
class Trial:
    """How many of the first rows of a file can be read, and the first ones that can't, each with the reason."""

    rows: int
    valid: int
    duplicate: int
    rejected: int
    refusals: list[tuple[int, str]]


def import_try(*, row: Import, by: User, plan: services.Plan) -> Trial:
    """Check the first rows of a draft. Raises the same as `import_start`."""
    services.check_plan(row=row, by=by, plan=plan)
    read = columns.reader(plan.mapping, plan.tags)
    numbers, parsed = list[int](), list[dict[str, object]]()
    refusals: list[tuple[int, str]] = []
    stream = islice(files.rows(row), int(row.has_header), MAX_TRIED + int(row.has_header))
    for file_row in stream:
        try:
            parsed.append(read(file_row.cells))
            numbers.append(file_row.number)
        except ValidationError as error:
            refusals.append((file_row.number, error.messages[0]))
    results = contacts_prepare(parsed, plan.policy).results
    for number, result in zip(numbers, results, strict=True):
        if result.outcome == Outcome.REJECTED:
            refusals.append((number, next(iter(result.errors.values()))[0]))
    duplicate = sum(result.outcome == Outcome.DUPLICATE for result in results)
    total = len(parsed) + len(refusals) - sum(result.outcome == Outcome.REJECTED for result in results)
    refusals.sort()
    valid = total - duplicate - len(refusals)
    return Trial(total, valid, duplicate, len(refusals), refusals[:MAX_REFUSALS])
