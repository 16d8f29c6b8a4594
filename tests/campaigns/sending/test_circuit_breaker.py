import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import time_machine
from structlog.testing import capture_logs

from campaigns.models import Gateway
from campaigns.sending import circuit_breaker
from campaigns.sending.circuit_breaker import FAILURES_TO_OPEN, INITIAL_PAUSE, MAX_PAUSE, Permit, Streak

pytestmark = pytest.mark.django_db
NAME = "probe"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Clock = time_machine.Traveller


def row() -> Gateway:
    return Gateway.objects.get(name=NAME)


def fail(times: int, reason: str = "timeout") -> None:
    """Report this many failures in a row from one session."""
    streak = Streak()
    for _ in range(times):
        streak.failure(time.monotonic(), reason)
    circuit_breaker.report(NAME, streak.take_report())


@pytest.fixture
def clock() -> Iterator[Clock]:
    with time_machine.travel(NOON, tick=False) as traveller:
        circuit_breaker.permit(NAME)
        yield traveller


class TestLog:
    """Everything that stops a gateway is logged as a warning, once."""

    def test_opening_and_closing_are_logged_once(self, clock: Clock) -> None:
        with capture_logs() as logs:
            fail(FAILURES_TO_OPEN)
            fail(FAILURES_TO_OPEN)
            circuit_breaker.close(NAME)
            circuit_breaker.close(NAME)
        assert [(entry["log_level"], entry["event"]) for entry in logs] == [
            ("warning", "gateway does not answer: sending paused"),
            ("info", "gateway answers again: sending resumed"),
        ]

    def test_refused_credentials_are_logged_once(self, clock: Clock) -> None:
        with capture_logs() as logs:
            circuit_breaker.credentials_refused(NAME, "http_401")
            circuit_breaker.credentials_refused(NAME, "http_401")
        assert [(entry["log_level"], entry["reason"]) for entry in logs] == [("error", "http_401")]

    def test_a_hold_is_logged_once(self, clock: Clock) -> None:
        with capture_logs() as logs:
            circuit_breaker.hold(NAME, 30)
            circuit_breaker.hold(NAME, 60)
        assert [entry["event"] for entry in logs] == ["gateway asks to wait: sending held"]
        assert row().held_until == NOON + 60 * SECOND


class TestOpening:
    def test_an_unused_gateway_is_unrestricted(self, clock: Clock) -> None:
        assert circuit_breaker.permit("new") == Permit(unrestricted=True)
        assert circuit_breaker.blocked_until("never seen") is None

    def test_many_failures_in_a_row_open_it(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN - 1)
        assert circuit_breaker.permit(NAME).unrestricted
        fail(1, "http_502")
        assert circuit_breaker.permit(NAME) == Permit(wait_until=NOON + INITIAL_PAUSE)
        assert (row().opened_at, row().alert) == (NOON, "http_502")
        assert circuit_breaker.blocked_until(NAME) == NOON + INITIAL_PAUSE

    def test_failures_of_all_workers_count_together_until_one_succeeds(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN - 1)
        other = Streak()
        other.success()
        circuit_breaker.report(NAME, other.take_report())
        fail(FAILURES_TO_OPEN - 1)
        assert circuit_breaker.permit(NAME).unrestricted

    def test_a_success_ends_the_streak_of_its_session(self, clock: Clock) -> None:
        streak = Streak()
        for _ in range(FAILURES_TO_OPEN):
            streak.failure(time.monotonic(), "timeout")
        streak.success()
        circuit_breaker.report(NAME, streak.take_report())
        assert circuit_breaker.permit(NAME).unrestricted

    def test_a_failure_that_began_before_the_last_success_is_ignored(self) -> None:
        circuit_breaker.permit(NAME)
        streak, began = Streak(), time.monotonic()
        streak.success()
        for _ in range(2 * FAILURES_TO_OPEN):
            streak.failure(began, "timeout")
        circuit_breaker.report(NAME, streak.take_report())
        assert circuit_breaker.permit(NAME).unrestricted
        assert row().failures == 0

    def test_failures_are_reported_once(self, clock: Clock) -> None:
        streak = Streak()
        streak.failure(time.monotonic(), "timeout")
        circuit_breaker.report(NAME, streak.take_report())
        circuit_breaker.report(NAME, streak.take_report())
        assert row().failures == 1

    def test_a_report_does_not_interrupt_a_streak(self, clock: Clock) -> None:
        streak = Streak()
        for _ in range(FAILURES_TO_OPEN - 1):
            assert not streak.failure(time.monotonic(), "timeout")
            streak.take_report()
        assert streak.failure(time.monotonic(), "timeout")
        assert not streak.failure(time.monotonic(), "timeout")

    def test_more_failures_do_not_move_the_probe(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(0.5)
        fail(FAILURES_TO_OPEN)
        assert row().open_until == NOON + INITIAL_PAUSE

    @pytest.mark.parametrize("reason", ["http_401", "http_403"])
    def test_a_refused_token_opens_it_at_once_with_an_alert(self, clock: Clock, reason: str) -> None:
        circuit_breaker.credentials_refused(NAME, reason)
        assert circuit_breaker.permit(NAME).wait_until == NOON + INITIAL_PAUSE
        assert row().alert == reason


class TestProbing:
    def test_only_one_caller_gets_the_probe(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(INITIAL_PAUSE)
        assert circuit_breaker.permit(NAME) == Permit(probe=True)
        assert [circuit_breaker.permit(NAME).probe for _ in range(5)] == [False] * 5

    def test_a_probe_that_is_never_reported_is_given_again(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(INITIAL_PAUSE)
        assert circuit_breaker.permit(NAME).probe
        clock.shift(MAX_PAUSE - SECOND)
        assert not circuit_breaker.permit(NAME).probe
        clock.shift(SECOND)
        assert circuit_breaker.permit(NAME).probe

    def test_each_failed_probe_doubles_the_pause_up_to_its_cap(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        pauses = []
        for _ in range(12):
            wait_until = circuit_breaker.permit(NAME).wait_until
            assert wait_until
            pauses.append((wait_until - datetime.now(UTC)).total_seconds())
            clock.move_to(wait_until)
            assert circuit_breaker.permit(NAME).probe
            circuit_breaker.probe_failed(NAME, "reset")
        assert pauses[:6] == [1, 2, 4, 8, 16, 30]
        assert set(pauses[5:]) == {30}
        assert row().alert == "reset"
        assert all(first <= second for first, second in pairwise(pauses))

    def test_a_successful_probe_closes_it_and_resets_everything(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        for _ in range(3):
            clock.shift(MAX_PAUSE)
            assert circuit_breaker.permit(NAME).probe
            circuit_breaker.probe_failed(NAME, "reset")
        circuit_breaker.close(NAME)
        assert circuit_breaker.permit(NAME).unrestricted
        assert (row().alert, row().failures, row().failed_probes, row().opened_at) == ("", 0, 0, None)
        fail(FAILURES_TO_OPEN)
        assert circuit_breaker.permit(NAME).wait_until == datetime.now(UTC) + INITIAL_PAUSE

    def test_a_probe_without_a_message_is_given_to_the_next_caller(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(INITIAL_PAUSE)
        assert circuit_breaker.permit(NAME).probe
        circuit_breaker.return_probe(NAME)
        assert circuit_breaker.permit(NAME).probe

    def test_a_late_probe_result_does_not_open_a_closed_breaker(self, clock: Clock) -> None:
        circuit_breaker.probe_failed(NAME, "reset")
        circuit_breaker.return_probe(NAME)
        assert circuit_breaker.permit(NAME).unrestricted


class TestHolding:
    def test_it_waits_without_a_probe(self, clock: Clock) -> None:
        circuit_breaker.hold(NAME, 10)
        assert circuit_breaker.permit(NAME) == Permit(wait_until=NOON + 10 * SECOND)
        assert circuit_breaker.blocked_until(NAME) == NOON + 10 * SECOND
        clock.shift(10)
        assert circuit_breaker.permit(NAME) == Permit(unrestricted=True)

    @pytest.mark.parametrize(("first", "second"), [(5, 100), (100, 5), (9.5, 10.25), (10.25, 9.5), (1, 86_400)])
    def test_the_longer_of_two_holds_counts(self, clock: Clock, first: float, second: float) -> None:
        circuit_breaker.hold(NAME, first)
        circuit_breaker.hold(NAME, second)
        assert circuit_breaker.permit(NAME).wait_until == NOON + timedelta(seconds=max(first, second))

    def test_a_new_hold_can_follow_an_expired_one(self, clock: Clock) -> None:
        circuit_breaker.hold(NAME, 5)
        clock.shift(60)
        circuit_breaker.hold(NAME, 5)
        assert circuit_breaker.permit(NAME).wait_until == NOON + 65 * SECOND

    def test_an_open_breaker_is_not_probed_while_it_is_held(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        circuit_breaker.hold(NAME, 10)
        clock.shift(5)
        assert not circuit_breaker.permit(NAME).probe
        clock.shift(5)
        assert circuit_breaker.permit(NAME).probe

    def test_gateways_are_independent(self, clock: Clock) -> None:
        circuit_breaker.permit("kannel")
        circuit_breaker.hold(NAME, 10)
        fail(FAILURES_TO_OPEN)
        assert circuit_breaker.permit("kannel").unrestricted
