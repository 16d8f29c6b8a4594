"""Demo data: two users, a thousand contacts in all time zones of Russia, and finished campaigns."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from itertools import takewhile
from typing import Final

from allauth.account.models import EmailAddress
from django.utils.timezone import localdate

from accounts.models import User
from campaigns import text
from campaigns.counters import count_reasons
from campaigns.models import Attempt, Campaign, Message, Run, RunMinute
from campaigns.planning.recurrence import at_wall, occurrences
from campaigns.states import CampaignStatus, MessageStatus, Repeat
from directory import phones
from directory.audiences.audience import Audience
from directory.models import Contact, Suppression, Tag

PASSWORD: Final = "vestnik-demo"  # noqa: S105 — public, and refused outside of debug mode
ADMIN, MARKETER = "admin@example.org", "anna@example.org"
LOGINS: Final = {MARKETER: "marketer", ADMIN: "administrator"}

CONTACTS = 1000
ZONES: Final = {
    "Europe/Kaliningrad": 3,
    "Europe/Moscow": 40,
    "Europe/Samara": 6,
    "Asia/Yekaterinburg": 14,
    "Asia/Omsk": 5,
    "Asia/Novosibirsk": 8,
    "Asia/Krasnoyarsk": 7,
    "Asia/Irkutsk": 6,
    "Asia/Yakutsk": 4,
    "Asia/Vladivostok": 4,
    "Asia/Magadan": 1,
    "Asia/Kamchatka": 2,
}
OPERATOR_CODES: Final = [
    "900",
    "902",
    "903",
    "904",
    "905",
    "906",
    "908",
    "909",
    "910",
    "912",
    "913",
    "914",
    "915",
    "916",
    "921",
    "924",
    "926",
    "950",
    "964",
    "999",
]
CITIES: Final = ("Москва", "Казань", "Самара", "Екатеринбург", "Омск", "Новосибирск", "Иркутск", "Владивосток")
MEN: Final = ("Иван", "Пётр", "Алексей", "Дмитрий", "Сергей", "Павел", "Николай", "Михаил", "Илья", "Тимур")
WOMEN: Final = ("Анна", "Ольга", "Мария", "Елена", "Дарья", "Ирина", "Наталья", "Софья", "Алина", "Вера")
SURNAMES: Final = (
    "Иванов",
    "Смирнов",
    "Кузнецов",
    "Попов",
    "Соколов",
    "Лебедев",
    "Новиков",
    "Морозов",
    "Волков",
    "Орлов",
)
TAGS: Final = {"vip": 0.08, "loyal": 0.35, "new": 0.2, "newsletter": 0.6}
OUTCOME_WEIGHTS: Final = {
    MessageStatus.DELIVERED: 930,
    MessageStatus.SENT: 34,
    MessageStatus.UNDELIVERED: 24,
    MessageStatus.FAILED: 12,
}
BUSY: Final = "http_503"
REFUSALS: Final = {
    "http_400": '{"code": 400, "message": "Number not in service"}',
    "http_422": '{"code": 422, "message": "Number is barred"}',
}


def make_demo() -> bool:
    """Create the demo data unless it exists; return whether it was created."""
    if User.objects.filter(email=ADMIN).exists():
        return False
    rng = random.Random(7)  # noqa: S311 — the same demo for everyone
    _user(ADMIN, "Мария", "Котова", is_staff=True, is_superuser=True)
    anna = _user(MARKETER, "Анна", "Петрова")
    contacts = _contacts(anna, rng)
    for campaign, starts in _campaigns(anna):
        for start in starts:
            _run(campaign, start, contacts, rng)
    return True


def _user(email: str, first_name: str, last_name: str, **fields: bool) -> User:
    user = User.objects.create_user(email, PASSWORD, first_name=first_name, last_name=last_name, **fields)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user


def _contacts(owner: User, rng: random.Random) -> list[Contact]:
    """A thousand contacts, fifty for each operator code."""
    people = [_contact(owner, number, rng) for number in range(CONTACTS)]
    contacts = Contact.objects.bulk_create(people)
    Suppression.objects.bulk_create(
        Suppression(phone=contact.phone, by=owner) for contact in contacts if contact.opted_out
    )
    tags = Tag.objects.bulk_create(Tag(name=name) for name in TAGS)
    Contact.tags.through.objects.bulk_create(
        Contact.tags.through(contact=contact, tag=tag)
        for contact in contacts
        for tag in tags
        if rng.random() < TAGS[tag.name]
    )
    return contacts


def _contact(owner: User, number: int, rng: random.Random) -> Contact:
    code = OPERATOR_CODES[number % len(OPERATOR_CODES)]
    woman = rng.random() < 0.5
    has_name = rng.random() < 0.95
    phone = int(f"7{code}{rng.randrange(1_000_000):06d}{number % 10}")
    return Contact(
        owner=owner,
        phone=phone,
        **phones.derived(phone),
        first_name=rng.choice(WOMEN if woman else MEN) if has_name else "",
        last_name=rng.choice(SURNAMES) + ("а" if woman else "") if has_name else "",
        timezone=rng.choices(list(ZONES), weights=list(ZONES.values()))[0],
        attributes={"city": rng.choice(CITIES), "points": rng.randrange(0, 5000, 50)},
        opted_out=rng.random() < 0.02,
    )


def _campaigns(owner: User) -> Iterator[tuple[Campaign, list[datetime]]]:
    """Finished campaigns with the starts of their runs, so that reports can compare the last 90 days."""
    today = localdate()
    plans = [
        ("Новинки недели", "{first_name|Друзья}, на этой неделе новое меню!", ("loyal",), Repeat.WEEKLY, 117, 12),
        (
            "Осенняя распродажа",
            "{first_name|Друзья}, до воскресенья скидка 20 % по коду ОСЕНЬ20.",
            ("loyal",),
            Repeat.ONCE,
            12,
            10,
        ),
        ("Welcome", "Hi {first_name|there}! Show this message and get a coffee on us.", ("new",), Repeat.ONCE, 9, 16),
        ("Напоминание о бонусах", "У вас {points|0} бонусов. Они сгорят в пятницу!", (), Repeat.ONCE, 6, 18),
        (
            "Утро VIP",
            "Доброе утро, {first_name|дорогой клиент}! Ваш промокод на сегодня: VIP7.",
            ("vip",),
            Repeat.DAILY,
            4,
            9,
        ),
    ]
    for name, message_text, tags, repeat, days_ago, hour in plans:
        first = at_wall(today - timedelta(days=days_ago), time(hour), owner.timezone)
        row = occurrences(first, repeat, owner.timezone)
        starts = list(takewhile(lambda start: start < at_wall(today, time(), owner.timezone), row))
        campaign = Campaign.objects.create(
            owner=owner,
            name=name,
            text=message_text,
            audience=Audience(tags=tags).to_json(),
            timezone=owner.timezone,
            starts_at=first,
            ends_at=starts[-1] + timedelta(hours=12),
            repeat=repeat,
            status=CampaignStatus.FINISHED,
            finished_at=starts[-1] + timedelta(minutes=9),
        )
        Campaign.objects.filter(pk=campaign.pk).update(created_at=first - timedelta(hours=2))
        yield campaign, starts


def _run(campaign: Campaign, start: datetime, contacts: list[Contact], rng: random.Random) -> None:
    """One run with its messages, failed attempts, and matching counters."""
    recipient_ids = set(Contact.objects.contactable().matching(campaign.audience_filter).values_list("pk", flat=True))
    run = Run.objects.create(campaign=campaign, occurrence=start, started_at=start, joined_at=start)
    messages = Message.objects.bulk_create(
        _message(run, contact, rng) for contact in contacts if contact.pk in recipient_ids
    )
    attempts = Attempt.objects.bulk_create(attempt for message in messages for attempt in _failures(message, rng))
    count_reasons(Counter((run.pk, attempt.reason) for attempt in attempts))
    _create_minutes(run, messages, attempts)
    Run.objects.filter(pk=run.pk).update(
        **Counter(message.status for message in messages),
        attempts=sum(message.attempts for message in messages),
        parts=sum(message.parts for message in messages if message.status != MessageStatus.FAILED),
        finished_at=max(message.ended_at or message.changed_at for message in messages),
    )


def _create_minutes(run: Run, messages: list[Message], attempts: list[Attempt]) -> None:
    """Write the minute counters: messages accepted or failed, attempts retried, and receipts."""
    minutes: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for message in messages:
        failed = message.status == MessageStatus.FAILED
        minutes[_minute(message.ended_at or message.changed_at)]["failed" if failed else "sent"] += 1
        if message.ended_at:
            minutes[_minute(message.changed_at)][message.status] += 1
    for attempt in attempts:
        if attempt.reason == BUSY:
            minutes[_minute(attempt.at)]["retried"] += 1
    RunMinute.objects.bulk_create(RunMinute(run=run, minute=minute, **numbers) for minute, numbers in minutes.items())


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _message(run: Run, contact: Contact, rng: random.Random) -> Message:
    values = text.values_of(
        first_name=contact.first_name,
        last_name=contact.last_name,
        phone=contact.phone,
        attributes=contact.attributes,
    )
    message_text = text.render(run.campaign.text, values)
    status = rng.choices(list(OUTCOME_WEIGHTS), weights=list(OUTCOME_WEIGHTS.values()))[0]
    ended_at = run.started_at + timedelta(seconds=rng.triangular(1, 520, 90))
    has_receipt = status in (MessageStatus.DELIVERED, MessageStatus.UNDELIVERED)
    return Message(
        run=run,
        contact=contact,
        status=status,
        reason=_reason(status, rng),
        due_at=run.started_at,
        changed_at=ended_at + timedelta(seconds=rng.triangular(2, 900, 6)) if has_receipt else ended_at,
        ended_at=ended_at if has_receipt else None,
        attempts=2 if rng.random() < 0.04 else 1,
        phone=contact.phone,
        text=message_text,
        parts=text.measure(message_text).parts,
    )


def _reason(status: MessageStatus, rng: random.Random) -> str:
    if status == MessageStatus.FAILED:
        return rng.choice(list(REFUSALS))
    return "not_delivered" if status == MessageStatus.UNDELIVERED else ""


def _failures(message: Message, rng: random.Random) -> Iterator[Attempt]:
    """The failed attempts: one that was retried, and a permanent refusal."""
    if message.attempts > 1:
        yield Attempt(
            message=message,
            at=(message.ended_at or message.changed_at) - timedelta(seconds=5),
            reason=BUSY,
            http_status=503,
            answer='{"code": 503, "message": "Down for maintenance"}',
            duration_ms=rng.randrange(8, 40),
        )
    if message.status == MessageStatus.FAILED:
        yield Attempt(
            message=message,
            at=message.changed_at,
            reason=message.reason,
            http_status=int(message.reason.removeprefix("http_")),
            answer=REFUSALS[message.reason],
            duration_ms=rng.randrange(8, 40),
        )
