"""`manage.py make_directory`: fill the directory with a given number of contacts, for tests of size."""

import random
from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from directory.contacts.upsert import Outcome, Policy, contacts_upsert
from directory.models import Contact, Source

_BATCH: Final = 10_000
_FIRST_NAMES: Final = {
    "а": ("Анна", "Мария", "Ольга", "Елена", "Наталья", "Ирина", "Татьяна", "Светлана", "Дарья", "Полина", "Вера"),
    "": ("Иван", "Пётр", "Алексей", "Дмитрий", "Сергей", "Андрей", "Николай", "Михаил", "Илья", "Тимур", "Кирилл"),
}
_LAST_NAMES: Final = (
    *("Иванов", "Петров", "Сидоров", "Кузнецов", "Смирнов", "Попов", "Васильев", "Соколов", "Михайлов", "Новиков"),
    *("Фёдоров", "Морозов", "Волков", "Алексеев", "Лебедев", "Семёнов", "Егоров", "Павлов", "Козлов", "Степанов"),
)
# Cities, weighted by population, with their time zones.
_CITIES: Final = {
    ("Москва", "Europe/Moscow"): 30,
    ("Санкт-Петербург", "Europe/Moscow"): 13,
    ("Казань", "Europe/Moscow"): 8,
    ("Калининград", "Europe/Kaliningrad"): 3,
    ("Самара", "Europe/Samara"): 6,
    ("Екатеринбург", "Asia/Yekaterinburg"): 9,
    ("Омск", "Asia/Omsk"): 6,
    ("Новосибирск", "Asia/Novosibirsk"): 9,
    ("Красноярск", "Asia/Krasnoyarsk"): 6,
    ("Иркутск", "Asia/Irkutsk"): 4,
    ("Якутск", "Asia/Yakutsk"): 2,
    ("Владивосток", "Asia/Vladivostok"): 4,
}
_CODES: Final = [str(code) for code in (*range(900, 910), *range(910, 920), *range(921, 930), 950, 964, 977, 985, 999)]
_TAGS: Final = {"vip": 0.02, "new": 0.1, "loyal": 0.3, "birthday": 0.05, "wholesale": 0.03, "newsletter": 0.5}


class Command(BaseCommand):
    """Adds contacts up to the number."""

    help = "Fill the directory with fictitious contacts up to the given number."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the options."""
        parser.add_argument("--contacts", type=int, required=True, help="the number of contacts")
        parser.add_argument("--owner", help="e-mail of the owner; default: the first administrator")
        parser.add_argument("--seed", type=int, default=1, help="the same number makes the same contacts")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write in batches. A second call adds nothing."""
        email = options["owner"]
        owner = User.objects.filter(**({"email": email} if email else {"is_staff": True})).order_by("pk").first()
        if owner is None:
            raise CommandError("There is no such user. Make one first: manage.py createsuperuser")
        missing = options["contacts"] - Contact.objects.count()
        generated = people(random.Random(options["seed"]))  # noqa: S311 - not for secrets
        while missing > 0:
            results = contacts_upsert(
                by=owner, rows=list(islice(generated, min(missing, _BATCH))), policy=Policy.SKIP, source=Source.PERSON
            )
            missing -= sum(result.outcome == Outcome.CREATED for result in results)
        self.stdout.write(f"The directory holds {Contact.objects.count()} contacts.")


def people(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Generate people endlessly; a few are opted out, deactivated or have no name."""
    cities, weights = list(_CITIES), list(_CITIES.values())
    while True:
        ending = rng.choice(["а", ""])
        named = rng.random() < 0.95
        city, zone = rng.choices(cities, weights)[0]
        yield {
            "phone": f"7{rng.choice(_CODES)}{rng.randrange(10**7):07}",
            "first_name": rng.choice(_FIRST_NAMES[ending]) if named else "",
            "last_name": rng.choice(_LAST_NAMES) + ending if named else "",
            "timezone": zone,
            "tags": [tag for tag, share in _TAGS.items() if rng.random() < share],
            "attributes": {"city": city, "points": rng.randrange(1000)},
            "opted_out": rng.random() < 0.01,
            "is_active": rng.random() > 0.01,
        }
