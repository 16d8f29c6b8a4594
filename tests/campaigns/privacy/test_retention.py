from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now
from django_q.models import OrmQ
from pytest_django import Settings

from accounts.models import User
from campaigns import tasks
from campaigns.models import Attempt, Campaign, Message, Run
from campaigns.privacy import retention
from campaigns.sandbox.server import Sandbox
from campaigns.statistics import campaign_statistics
from reports.dashboard.figures import messages_by_status
from tests import factories
from tests.campaigns.browser_client import browser, page_of
from tests.campaigns.engine import send_everything
from tests.campaigns.outcomes import started

pytestmark = pytest.mark.django_db


def over(alice: User, sandbox: Sandbox, *, days: int, name: str) -> Campaign:
    """A campaign to two contacts that ended this many days ago."""
    campaign, run = started(alice, name=name, text=name)
    send_everything(campaign, sandbox)
    ended = now() - timedelta(days=days)
    Campaign.objects.filter(pk=campaign.pk).update(starts_at=ended - timedelta(hours=1), ends_at=ended)
    Run.objects.filter(pk=run.pk).update(finished_at=ended)
    return campaign


@pytest.fixture
def old(alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """A campaign that ended forty days ago, among others whose messages are still needed."""
    monkeypatch.setattr(retention, "_BATCH", 1)
    factories.contact(alice)
    factories.contact(alice)
    campaign = over(alice, sandbox, days=40, name="Old")
    message = Message.objects.filter(run__campaign=campaign).earliest("pk")
    Attempt.objects.create(message=message, at=now(), reason="http_500")
    over(alice, sandbox, days=20, name="Young")
    started(alice, name="Running", text="Running")
    return campaign


def left() -> dict[str, int]:
    names = Message.objects.values_list("run__campaign__name", flat=True)
    return {name: list(names).count(name) for name in set(names)}


def test_old_messages_are_removed_and_all_figures_stay(old: Campaign, alice: User) -> None:
    before = campaign_statistics(old).by_status, messages_by_status(alice)
    output = StringIO()
    call_command("forget_messages", older_than=30, stdout=output)
    assert output.getvalue() == "2 messages removed.\n"
    assert left() == {"Young": 2, "Running": 2}
    assert not Attempt.objects.exists()
    assert (campaign_statistics(old).by_status, messages_by_status(alice)) == before
    call_command("verify_counters", stdout=StringIO())
    call_command("verify_counters", repair=True, stdout=StringIO())
    assert (campaign_statistics(old).by_status, messages_by_status(alice)) == before
    page = browser(alice).get(page_of(old)).content.decode()
    assert "These messages were deleted" in page
    export: Any = browser(alice).get(f"/reports/campaigns/{old.pk}/messages.csv")
    assert export.getvalue().count(b"\n") == 1


def test_removal_continues_where_it_was_stopped(old: Campaign) -> None:
    stops = iter([False, True])
    month = now() - timedelta(days=30)
    assert retention.forget(month, lambda: next(stops)) == 1
    call_command("verify_counters", stdout=StringIO())
    assert retention.forget(month) == 1
    assert retention.forget(month) == 0
    assert left() == {"Young": 2, "Running": 2}


def test_workers_remove_messages_if_the_setting_says_so(old: Campaign, settings: Settings) -> None:
    def asked() -> bool:
        OrmQ.objects.all().delete()
        tasks.sweep()
        return bool(OrmQ.objects.filter(key__contains=retention.forget_messages.name).exists())

    assert not asked()
    settings.MESSAGE_RETENTION_DAYS = 30
    assert asked()
    OrmQ.objects.all().delete()
    tasks.forget_messages()
    assert left() == {"Young": 2, "Running": 2}
    assert not asked()


def test_messages_that_may_still_be_sent_are_never_removed(old: Campaign) -> None:
    Campaign.objects.filter(pk=old.pk).update(ends_at=now() + timedelta(days=1))
    assert retention.forget(now()) == 2
    assert left() == {"Old": 2, "Running": 2}


@pytest.mark.parametrize("days", [0, -1])
def test_nothing_is_removed_by_mistake(old: Campaign, days: int) -> None:
    with pytest.raises(CommandError):
        call_command("forget_messages", older_than=days)
    assert len(left()) == 3
