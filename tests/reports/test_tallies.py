"""Counting: each run once it has changed, exactly, and never again what has been removed."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db.models import Sum

from accounts.models import User
from campaigns.models import Message, Run
from campaigns.states import MessageStatus
from directory.models import Tag
from project import queue
from project.clock import now
from reports import tallies
from reports.models import Counted, Facet, Tally
from reports.tasks import count_tallies, sweep
from tests.campaigns.outcomes import retry, settle, started


def cells(run: Run, facet: Facet) -> dict[str, Counter[str]]:
    """What is told of each value, over all hours."""
    names = (*tallies.ENDED, "parts", "attempts", "tries")
    rows = Tally.objects.filter(run=run.pk, facet=facet).values_list("value").annotate(*map(Sum, names))
    return {value: +Counter(dict(zip(names, numbers, strict=True))) for value, *numbers in rows}


def test_a_run_is_told_apart_by_everything(alice: User) -> None:
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


def test_a_run_is_counted_again_once_it_has_changed_and_not_too_often(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _campaign, run = started(alice, contacts=3)
    sweep()
    assert queue.others_wait()
    count_tallies()
    assert not tallies.due().exists()
    settle(run, 1, MessageStatus.SENT)
    assert tallies.stale().exists()
    assert not tallies.due().exists()  # it has just been counted
    Counted.objects.update(again_at=now() - timedelta(seconds=1))
    tallies.count_due(lambda: False)
    assert cells(run, Facet.WHOLE)[""]["sent"] == 1
    settle(run, 2, MessageStatus.SENT)
    Run.objects.filter(pk=run.pk).update(finished_at=now() + timedelta(seconds=1))
    tallies.count_due(lambda: True)
    assert cells(run, Facet.WHOLE)[""]["sent"] == 1  # the worker was told to stop
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


def test_of_two_who_count_at_once_the_later_is_believed(alice: User) -> None:
    _campaign, run = started(alice, contacts=2)
    settle(run, 1, MessageStatus.SENT)
    (slow,) = tallies.stale()
    settle(run, 1, MessageStatus.SENT)
    tallies.count_due(lambda: False)
    tallies._write(slow, {}, now() - timedelta(seconds=5), now())
    assert cells(run, Facet.WHOLE)[""]["sent"] == 2
