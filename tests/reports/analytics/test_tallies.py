"""Counting of runs: after each change, exactly, and never again once messages are removed."""

import threading
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.db.models import Sum

from accounts.models import User
from campaigns.gateways.protocol import Receipt
from campaigns.messages.receipts import apply_receipts, receipts_store
from campaigns.models import Message, Run
from campaigns.states import MessageStatus
from directory.models import Contact, Tag
from directory.phones import operator_code
from project.core.clock import now
from project.queue import broker
from reports.analytics import tallies
from reports.analytics.tally_builder import TallyBuilder
from reports.analytics.totals import NAMES
from reports.models import EVERYONE, CountState, Facet, Tally, Total
from reports.tasks import count_tallies, sweep
from tests import factories
from tests.campaigns.outcomes import retry, settle, started


def cells(run: Run, facet: Facet) -> dict[str, Counter[str]]:
    """The numbers of each value, over all hours."""
    rows = Tally.objects.filter(run=run.pk, facet=facet).values_list("value").annotate(*map(Sum, NAMES))
    return {value: +Counter(dict(zip(NAMES, numbers, strict=True))) for value, *numbers in rows}


def assert_totals_match() -> None:
    """Assert that each total is the sum of its tallies, per owner and for everyone."""
    expected: defaultdict[tuple[object, ...], Counter[str]] = defaultdict(Counter)
    for row in Tally.objects.select_related("campaign"):
        hour = row.hour if row.facet == Facet.WHOLE else row.hour.replace(hour=0)
        for owner in (EVERYONE, row.campaign.owner_id):
            expected[owner, row.facet, hour, row.value].update({name: getattr(row, name) for name in NAMES})
    stored = {
        (row.owner, row.facet, row.hour, row.value): +Counter({name: getattr(row, name) for name in NAMES})
        for row in Total.objects.all()
    }
    assert {key: numbers for key, numbers in stored.items() if numbers} == {
        key: +numbers for key, numbers in expected.items()
    }


def test_a_run_is_broken_down_by_every_facet(alice: User) -> None:
    _campaign, run = started(alice, contacts=5)
    first = run.messages.order_by("pk").select_related("contact")[0]
    assert first.contact
    first.contact.tags.set([Tag.objects.create(name="vip"), Tag.objects.create(name="new")])
    type(first.contact).objects.filter(pk=first.contact.pk).update(timezone="Asia/Omsk")
    retry(run)
    settle(run, 2, MessageStatus.SENT)
    settle(run, 1, MessageStatus.FAILED, "http_400")
    tallies.count_due(lambda: False)
    assert cells(run, Facet.WHOLE) == {"": Counter(sent=2, failed=1, parts=2, attempts=3, tries=1)}
    assert cells(run, Facet.OPERATOR) == {"999": Counter(sent=2, failed=1, parts=2, attempts=3, tries=1)}
    assert cells(run, Facet.TIMEZONE)["Asia/Omsk"] == Counter(sent=1, parts=1, attempts=2, tries=1)
    assert cells(run, Facet.TAG) == {
        "vip": Counter(sent=1, parts=1),
        "new": Counter(sent=1, parts=1),
        "": Counter(sent=1, failed=1, parts=1),
    }
    assert cells(run, Facet.REASON) == {"http_400": Counter(failed=1), "timeout": Counter(attempts=1, tries=1)}


def test_only_numbers_of_the_plus_7_plan_have_an_operator_code(alice: User) -> None:
    _campaign, run = started(alice, contacts=3)
    german, _russian, erased = run.messages.order_by("pk")
    settle(run, 3, MessageStatus.SENT)
    Message.objects.filter(pk=german.pk).update(phone=491701234567)
    Message.objects.filter(pk=erased.pk).update(phone=-erased.pk)
    tallies.count_due(lambda: False)
    assert cells(run, Facet.OPERATOR) == {
        "": Counter(sent=2, parts=2, attempts=2),
        "999": Counter(sent=1, parts=1, attempts=1),
    }
    assert {operator_code(number) for number in (491701234567, -erased.pk)} == {""}


def test_a_country_is_that_of_the_phone_that_got_the_message(alice: User) -> None:
    factories.contact(alice, phone=380501234567)
    _campaign, run = started(alice, contacts=4)
    settle(run, 5, MessageStatus.SENT)
    ukrainian, moved, other, old, erased = run.messages.order_by("pk").select_related("contact")
    for message in (ukrainian, old):
        assert message.contact
        Message.objects.filter(pk=message.pk).update(phone=message.contact.phone)
    Contact.objects.filter(messages=old).update(country="", line_type="")  # not derived yet
    Message.objects.filter(pk=moved.pk).update(phone=491701234567)
    Message.objects.filter(pk=other.pk).update(contact=None, phone=77011234567)
    Message.objects.filter(pk=erased.pk).update(phone=-erased.pk)
    tallies.count_due(lambda: False)
    sent = Counter(sent=1, parts=1, attempts=1)
    assert cells(run, Facet.COUNTRY) == dict.fromkeys(("UA", "DE", "KZ", "RU", ""), sent)


def test_a_count_that_a_former_release_began_starts_anew(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "_STEP", 2)
    _campaign, run = started(alice, contacts=3)
    settle(run, 3, MessageStatus.SENT)
    assert tallies.count_step(tallies.due().get()) is None
    state = CountState.objects.get()
    assert state.draft
    del state.draft["facets"]
    state.draft["cells"] = [cell for cell in state.draft["cells"] if cell[0] != "country"]
    state.save()
    tallies.count_due(lambda: False)
    assert cells(run, Facet.COUNTRY) == {"RU": cells(run, Facet.WHOLE)[""]}
    assert cells(run, Facet.WHOLE)[""]["sent"] == 3


def test_a_run_is_counted_again_once_it_has_changed_and_not_too_often(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _campaign, run = started(alice, contacts=3)
    sweep()
    assert broker.other_tasks_due()
    count_tallies()
    assert not tallies.due().exists()
    settle(run, 1, MessageStatus.SENT)
    assert tallies.stale().exists()
    assert not tallies.due().exists()  # it has just been counted
    CountState.objects.update(next_count_at=now() - timedelta(seconds=1))
    tallies.count_due(lambda: False)
    assert cells(run, Facet.WHOLE)[""]["sent"] == 1
    settle(run, 2, MessageStatus.SENT)
    Run.objects.filter(pk=run.pk).update(finished_at=now() + timedelta(seconds=1))
    tallies.count_due(lambda: True)
    assert cells(run, Facet.WHOLE)[""]["sent"] == 1  # the worker was asked to stop
    tallies.count_due(lambda: False)
    assert cells(run, Facet.WHOLE)[""]["sent"] == 3
    assert not tallies.stale().exists()


def test_figures_stay_when_messages_are_removed(alice: User) -> None:
    campaign, run = started(alice, contacts=3)
    settle(run, 3, MessageStatus.SENT)
    tallies.count_due(lambda: False)
    Message.objects.filter(run=run).delete()
    Run.objects.filter(pk=run.pk).update(attempts=9)
    for row in tallies.stale():
        assert not tallies.count_run(row)
    assert not tallies.stale().exists()
    assert cells(run, Facet.WHOLE)[""]["sent"] == 3
    run.delete()
    assert Tally.objects.filter(campaign=campaign, facet=Facet.WHOLE).get().sent == 3


def test_the_later_of_two_concurrent_counts_wins(alice: User) -> None:
    _campaign, run = started(alice, contacts=2)
    settle(run, 1, MessageStatus.SENT)
    (slow,) = tallies.stale()
    settle(run, 1, MessageStatus.SENT)
    tallies.count_due(lambda: False)
    tallies._save(slow, TallyBuilder("", 0, now() - timedelta(seconds=5)), None, finished=True)
    assert cells(run, Facet.WHOLE)[""]["sent"] == 2


def test_a_large_run_is_counted_in_steps(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "_STEP", 2)
    _campaign, run = started(alice, contacts=5)
    settle(run, 4, MessageStatus.SENT)
    (row,) = tallies.due()
    assert tallies.count_step(row) is None
    assert not Tally.objects.exists()
    assert [(run.total, run.pk) for run in tallies.due()] == [(5, row.pk)]
    slow = TallyBuilder("", 5, now(), reached=1)
    tallies._save(row, slow, None, finished=True)  # the slower of two workers at the first step
    settle(run, 1, MessageStatus.FAILED, "http_400")
    tallies.count_due(lambda: False)
    assert cells(run, Facet.WHOLE)[""] == Counter(sent=4, failed=1, parts=4, attempts=4)
    assert tallies.stale().get().pk == run.pk  # because it has changed since the first step
    CountState.objects.update(next_count_at=now())
    tallies.count_due(lambda: False)
    assert not tallies.stale().exists()
    assert_totals_match()


def test_receipts_do_not_move_messages_to_another_hour(alice: User) -> None:
    with time_machine.travel(now() - timedelta(days=1), tick=False):
        _campaign, run = started(alice, contacts=3)
        settle(run, 2, MessageStatus.SENT)
        settle(run, 1, MessageStatus.UNKNOWN)
        tallies.count_due(lambda: False)
    hour = Tally.objects.get(run=run.pk, facet=Facet.WHOLE).hour
    first, second, third = run.messages.order_by("pk")
    receipts_store("probe", [Receipt(first.pk, True), Receipt(second.pk, False, "barred"), Receipt(third.pk, True)])
    with time_machine.travel(now() + timedelta(seconds=1), tick=False):
        apply_receipts()
        tallies.count_due(lambda: False)
    stored = Tally.objects.get(run=run.pk, facet=Facet.WHOLE)
    assert (stored.hour, stored.sent, stored.delivered, stored.undelivered, stored.unknown) == (hour, 0, 2, 1, 0)
    assert_totals_match()


def test_all_figures_can_be_recounted(alice: User, bob: User, capsys: pytest.CaptureFixture[str]) -> None:
    without_messages, run = (started(owner, contacts=2)[1] for owner in (alice, bob))
    settle(without_messages, 2, MessageStatus.SENT)
    settle(run, 2, MessageStatus.SENT)
    call_command("count_tallies")
    Message.objects.filter(run=without_messages).delete()
    Tally.objects.filter(run=run.pk).update(sent=7)
    Total.objects.update(sent=8)
    call_command("count_tallies", "--all")
    assert capsys.readouterr().out.splitlines()[-1] == "1 runs counted; of 1 messages are gone."
    assert cells(without_messages, Facet.WHOLE)[""]["sent"] == cells(run, Facet.WHOLE)[""]["sent"] == 2
    assert_totals_match()


@pytest.mark.django_db(transaction=True)
def test_concurrent_counts_lose_nothing(alice: User, bob: User) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time, and its database of the tests one connection")
    for owner in (alice, bob, alice, bob):
        _campaign, run = started(owner, contacts=2, name=f"{Run.objects.count()}", text=f"{Run.objects.count()}")
        settle(run, 2, MessageStatus.SENT)

    def work() -> None:
        try:
            tallies.count_due(lambda: False)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not tallies.stale().exists()
    assert_totals_match()
