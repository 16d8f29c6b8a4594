"""A directory of a million contacts: durations of the import, each list, and the count of each audience."""

import csv
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlencode

import phonenumbers
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils.timezone import now

from tools.bench.figures import figure  # isort: skip - it sets Django up

from accounts.models import User
from campaigns.models import Price
from campaigns.prices.estimate import priced_audience
from directory.audiences.audience import Audience
from directory.audiences.services import audience_distribution, audience_size
from directory.contacts.upsert import Policy
from directory.imports import services
from directory.imports.models import Import, ImportStatus
from directory.management.commands.make_directory import people
from directory.models import Contact, Tag
from directory.suppression.services import suppress

_HEADER: Final = ("phone", "first_name", "last_name", "timezone", "city", "points")
_TAGS: Final = {"half": 500, "loyal": 300, "new": 100, "rare": 1}  # contacts of a thousand
_DAY: Final = now().replace(hour=12) - timedelta(days=100)
_TEN_DAYS: Final = {"added_from": f"{_DAY:%F}", "added_to": f"{_DAY + timedelta(days=9):%F}"}
_LISTS: Final[dict[str, dict[str, Any]]] = {
    "newest": {},
    "by name": {"sort": "name"},
    "by phone": {"sort": "phone"},
    "by last change": {"sort": "changed"},
    "part of a phone": {"q": "45-67"},
    "whole phone": {"q": "+7 999 123-45-67"},
    "name": {"q": "анна"},
    "name, by name": {"q": "петров", "sort": "name"},
    "name, by last change": {"q": "петров", "sort": "changed"},
    "two words": {"q": "иван смир"},
    "two letters": {"q": "ан"},
    "nothing": {"q": "щъыь"},
    "tag": {"tag": "half"},
    "tag, by name": {"tag": "new", "sort": "name"},
    "rare tag": {"tag": "rare"},
    "rare tag, by phone": {"tag": "rare", "sort": "phone"},
    "two tags": {"tag": ["new", "rare"]},
    "operator": {"operator_code": "903"},
    "operator, by last change": {"operator_code": "903", "sort": "changed"},
    "country": {"country": "KG"},
    "country, by name": {"country": "KG", "sort": "name"},
    "country, by last change": {"country": "RU", "sort": "changed"},
    "time zone": {"timezone": "Asia/Omsk"},
    "time zone, by name": {"timezone": "Asia/Omsk", "sort": "name"},
    "owner": {"owner": "1"},
    "opted out": {"state": "opted_out"},
    "deactivated": {"state": "deactivated"},
    "all states": {"state": "all"},
    "days": _TEN_DAYS,
    "days, by last change": {**_TEN_DAYS, "sort": "changed"},
    "days, by name": {**_TEN_DAYS, "sort": "name"},
}
_COUNTRIES: Final = sorted(phonenumbers.SUPPORTED_REGIONS - {"RU"})[::4][:60]
_DEEP: Final = {"newest": ("-id",), "name": ("search",), "phone": ("phone",), "changed": ("-updated_at", "-id")}
_CITY: Final = {"name": "city", "match": "equals", "value": "омск"}
_LATELY: Final = {"when": "not_within", "days": 30}
_AUDIENCES: Final[dict[str, dict[str, Any]]] = {
    "everyone": {},
    "operators": {"operator_codes": ["903", "905"]},
    "time zone": {"timezones": ["Europe/Moscow"]},
    "country": {"countries": ["KG"]},
    "country, tag": {"countries": ["RU"], "tags": ["half"]},
    "tag": {"tags": ["half"]},
    "any of two tags": {"tags": ["half", "loyal"]},
    "all of two tags": {"tags": ["half", "loyal"], "tags_match": "all"},
    "without a tag": {"tags_none": ["half"]},
    "none of two tags": {"tags_none": ["half", "loyal"]},
    "attribute": {"attributes": [_CITY]},
    "part of an attribute": {"attributes": [{**_CITY, "match": "contains", "value": "ск"}]},
    "has an attribute": {"attributes": [{**_CITY, "match": "exists"}]},
    "never contacted": {"written": {"when": "never"}},
    "contacted in 30 days": {"written": {"when": "within", "days": 30}},
    "not contacted in 30 days": {"written": _LATELY},
    "operator, tag, never": {"operator_codes": ["903"], "tags": ["half"], "written": {"when": "never"}},
    "tag, attribute, not in 30 days": {"tags": ["half"], "attributes": [_CITY], "written": _LATELY},
    "any tag, attribute, never": {"tags": ["half", "loyal"], "attributes": [_CITY], "written": {"when": "never"}},
}


def directory(number: int) -> None:
    """Import contacts into an empty directory, measure it, and empty it again."""
    call_command("migrate", verbosity=0)
    owner = User.objects.create_superuser("bench@example.org", "bench")
    client = Client(headers={"host": "localhost"})
    client.force_login(owner)
    import_(owner, client, number)
    _add_details(owner)
    Price.objects.create(gateway="probe", area="KG", price=1, valid_from=now().date())
    lists(client)
    audiences()
    call_command("flush", verbosity=0, interactive=False)


def import_(owner: User, client: Client, number: int) -> None:
    """Measure the import of a CSV file by a worker: its memory, and the speed of the list meanwhile."""
    with tempfile.TemporaryFile() as file:
        _write_csv(file, number)
        file.seek(0)
        row = services.import_create(owner=owner, name="bench.csv", content=file)
    services.import_start(row=row, by=owner, mapping=row.mapping, policy=Policy.UPDATE, tags=[])
    samples: list[float] = []
    with _worker() as process:
        Import.objects.filter(pk=row.pk).update(started_at=now())
        memory = 0.0
        while row.status == ImportStatus.RUNNING:
            samples.append(_timed(lambda: _get(client, "/contacts/")))
            memory = max(memory, *map(_peak_mb, _tree(process.pid)))
            time.sleep(0.5)
            row.refresh_from_db()
    assert row.created == number, row.error
    assert row.started_at
    assert row.finished_at
    seconds = (row.finished_at - row.started_at).total_seconds()
    figure("import of a CSV file", seconds, "s", rows=number, rows_a_second=number / seconds, memory_mb=memory)
    figure(
        "list of contacts while it is imported",
        statistics.median(samples),
        "ms",
        worst=max(samples),
        samples=len(samples),
    )


def _write_csv(file: IO[bytes], number: int) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(_HEADER)
    seen: set[str] = set()
    for person in people(random.Random(1)):  # noqa: S311 - not for secrets
        if person["phone"] not in seen:
            seen.add(person["phone"])
            values = {**person, **person["attributes"]}
            writer.writerow([values[name] for name in _HEADER])
        if len(seen) == number:
            break
    text.flush()
    text.detach()


def _add_details(owner: User) -> None:
    """Set countries, tags, 1 % opted out, 1 % deactivated, 10 % added within ten days, and last contacts."""
    first = Contact.objects.order_by("pk").values_list("pk", flat=True)[0]
    number = Contact.objects.count()
    suppress(list(Contact.objects.values_list("phone", flat=True)[: number // 100]), by=owner)
    table, tagged = Contact._meta.db_table, Contact.tags.through._meta.db_table
    with connection.cursor() as cursor:
        # Two in five stay in Russia, the others are spread over sixty countries.
        for number_of_country, code in enumerate(_COUNTRIES):
            cursor.execute(
                f"UPDATE {table} SET country = %s WHERE id * 7919 %% 100 = %s",  # noqa: S608
                [code, number_of_country],
            )
        cursor.execute(f"UPDATE {table} SET is_active = NOT is_active WHERE id * 7919 %% 100 = 1", [])  # noqa: S608
        for name, share in _TAGS.items():
            tag = Tag.objects.create(name=name)
            cursor.execute(
                f"INSERT INTO {tagged} (contact_id, tag_id) "  # noqa: S608
                f"SELECT id, %s FROM {table} WHERE id * %s %% 1009 < %s",
                [tag.pk, 7919 + 2 * tag.pk, share],
            )
        for day in range(60):
            cursor.execute(
                "INSERT INTO directory_lastwritten (contact_id, at) "  # noqa: S608
                f"SELECT id, %s FROM {table} WHERE id * 7919 %% 100 = %s",
                [now() - timedelta(days=day), day],
            )
        for day in range(10):
            start = first + day * number // 100
            cursor.execute(
                f"UPDATE {table} SET created_at = %s, updated_at = %s "  # noqa: S608
                "WHERE id >= %s AND id < %s",
                [_DAY + timedelta(days=day), now() - timedelta(days=day * 7 % 10), start, start + number // 100],
            )
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def lists(client: Client) -> None:
    """Measure each list with its filters, and deep pages."""
    asked = dict(_LISTS)
    for sort, order in _DEEP.items():
        ordered = Contact.objects.filter(is_active=True).order_by(*order)
        row = ordered[ordered.count() // 2]
        cursor = json.dumps([getattr(row, name.removeprefix("-")) for name in order], default=str)
        asked[f"page in the middle, by {sort}"] = {"sort": sort, "cursor": cursor}
    for name, query in asked.items():
        address = f"/contacts/?{urlencode(query, doseq=True)}"
        _report(f"list: {name}", lambda address=address: _get(client, address))  # type: ignore[misc]


def audiences() -> None:
    """Measure each kind of filter, and some combinations; and what a page shows of an audience."""
    for name, asked in _AUDIENCES.items():
        audience = Audience.from_json(asked)
        _report(f"audience: {name}", lambda audience=audience: audience_size(audience))  # type: ignore[misc]
    _report("distribution: everyone", lambda: _uncached(audience_distribution, Audience()))
    _report("estimate: everyone", lambda: _uncached(priced_audience, Audience(), None, None))


def _uncached(job: Callable[..., Any], *arguments: Any) -> None:
    """Run a job that would otherwise answer from the process's cache."""
    caches["process"].clear()
    job(*arguments)


def _get(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200, answer


def _report(name: str, job: Callable[[], Any], times: int = 20) -> None:
    job()
    taken = sorted(_timed(job) for _ in range(times))
    figure(name, statistics.median(taken), "ms", p95=taken[times * 95 // 100 - 1], best=taken[0])


def _timed(job: Callable[[], Any]) -> float:
    started = time.perf_counter()
    job()
    return (time.perf_counter() - started) * 1000


@contextmanager
def _worker() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "manage.py", "worker"], env=os.environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
