"""The demo data."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now
from pytest_django import Settings

from accounts.models import User
from campaigns.demo import ADMIN, CONTACTS, PASSWORD, make_demo
from campaigns.models import Campaign, Message
from directory import phones
from directory.models import Contact
from tests.campaigns.engine import assert_counters_match

pytestmark = pytest.mark.django_db


def test_demo_data_is_created_once_and_completely() -> None:
    assert make_demo()
    assert not make_demo()
    assert Contact.objects.count() == CONTACTS
    assert Contact.objects.values("operator_code").distinct().count() == 20
    assert Contact.objects.values("timezone").distinct().count() == 12
    assert User.objects.get(email=ADMIN).check_password(PASSWORD)
    assert {phones.normalise(phone) for phone in Contact.objects.values_list("phone", flat=True)}


def test_the_demo_history_is_consistent_and_comparable() -> None:
    make_demo()
    for length in map(timedelta, (7, 30, 90)):
        assert Message.objects.filter(due_at__gte=now() - length).exists()
        assert Message.objects.filter(due_at__range=(now() - 2 * length, now() - length)).exists()
    for campaign in Campaign.objects.all():
        assert_counters_match(campaign)
        for run in campaign.runs.all():
            for status in ("delivered", "undelivered", "failed"):
                assert sum(run.minutes.values_list(status, flat=True)) == getattr(run, status)
            assert sum(run.minutes.values_list("sent", flat=True)) == run.sent + run.delivered + run.undelivered


def test_it_is_refused_in_production(settings: Settings) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError):
        call_command("demo")
    assert not User.objects.exists()
