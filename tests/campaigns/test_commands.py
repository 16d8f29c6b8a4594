"""Management commands, and the checks of settings."""

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import User
from campaigns.models import Attempt, Run, RunMinute
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sending.checks import check_queue
from tests.campaigns.engine import assert_counters_match
from tests.factories import campaign, contact


def test_correct_counters_are_confirmed(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    contact(alice)
    campaign_advance(campaign(alice).pk)
    call_command("verify_counters")
    assert "agree" in capsys.readouterr().out


def test_wrong_counters_are_found_and_repaired(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    contact(alice)
    running = campaign(alice)
    campaign_advance(running.pk)
    Run.objects.update(pending=5, sent=7)
    with pytest.raises(CommandError):
        call_command("verify_counters")
    assert "pending 5 ≠ 1, sent 7 ≠ 0" in capsys.readouterr().out
    call_command("verify_counters", "--repair")
    assert_counters_match(running)


def test_generated_messages_have_correct_counters(alice: User, bob: User, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="contacts"):
        call_command("make_messages", messages=10)
    for _ in range(50):
        contact(alice)
    call_command("make_messages", messages=160, campaigns=4, days=2)
    call_command("verify_counters")
    assert "There are 160 messages." in capsys.readouterr().out
    assert set(Run.objects.values_list("campaign__owner", flat=True)) == {alice.pk, bob.pk}
    figures = Run.objects.all().figures()
    accepted = figures["sent"] + figures["delivered"] + figures["undelivered"]
    assert figures["attempts"] == accepted + Attempt.objects.count()
    assert sum(RunMinute.objects.values_list("sent", flat=True)) == accepted == figures["parts"]


def test_the_queue_as_configured_passes_the_check() -> None:
    assert check_queue(None) == []


@pytest.mark.parametrize(("name", "value", "error"), [("retry", 110, "E001"), ("timeout", 30, "E002")])
def test_a_queue_that_would_run_tasks_twice_is_refused(settings: Settings, name: str, value: int, error: str) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, name: value}
    assert [found.id for found in check_queue(None)] == [f"campaigns.{error}"]
