import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import time_machine

from campaigns.models import Gateway
from campaigns.sending import breaker
from campaigns.sending.breaker import FAILURES_TO_OPEN, FIRST_PAUSE, LONGEST_PAUSE, Permit, Streak

pytestmark = pytest.mark.django_db
NAME = "probe"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Clock = time_machine.Traveller


def row() -> Gateway:
    return Gateway.objects.get(name=NAME)


def fail(times: int, reason: str = "timeout") -> None:
    """So many failures in a row, seen by one slice."""
    streak = Streak()
    for _ in range(times):
        streak.failure(time.monotonic(), reason)
    breaker.report(NAME, streak.taken())


@pytest.fixture
def clock() -> Iterator[Clock]:
    with time_machine.travel(NOON, tick=False) as traveller:
        breaker.permit(NAME)
        yield traveller


class TestOpening:
    def test_a_gateway_that_nobody_has_used_is_free(self, clock: Clock) -> None:
        assert breaker.permit("new") == Permit(free=True)
        assert breaker.blocked_until("never seen") is None

    def test_a_long_row_of_failures_opens_it(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN - 1)
        assert breaker.permit(NAME).free
        fail(1, "http_502")
        assert breaker.permit(NAME) == Permit(wait_until=NOON + FIRST_PAUSE)
        assert (row().opened_at, row().alert) == (NOON, "http_502")
        assert breaker.blocked_until(NAME) == NOON + FIRST_PAUSE

    def test_failures_of_all_workers_count_together_until_one_succeeds(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN - 1)
        lucky = Streak()
        lucky.success()
        breaker.report(NAME, lucky.taken())
        fail(FAILURES_TO_OPEN - 1)
        assert breaker.permit(NAME).free

    def test_a_success_ends_the_streak_of_its_own_slice(self, clock: Clock) -> None:
        streak = Streak()
        for _ in range(FAILURES_TO_OPEN):
            streak.failure(time.monotonic(), "timeout")
        streak.success()
        breaker.report(NAME, streak.taken())
        assert breaker.permit(NAME).free

    def test_a_failure_that_began_before_the_last_success_says_nothing(self) -> None:
        breaker.permit(NAME)
        streak, began = Streak(), time.monotonic()
        streak.success()
        for _ in range(2 * FAILURES_TO_OPEN):
            streak.failure(began, "timeout")
        breaker.report(NAME, streak.taken())
        assert breaker.permit(NAME).free
        assert row().failures == 0

    def test_a_report_is_made_once(self, clock: Clock) -> None:
        streak = Streak()
        streak.failure(time.monotonic(), "timeout")
        breaker.report(NAME, streak.taken())
        breaker.report(NAME, streak.taken())
        assert row().failures == 1

    def test_more_failures_do_not_move_the_probe(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(0.5)
        fail(FAILURES_TO_OPEN)
        assert row().open_until == NOON + FIRST_PAUSE

    @pytest.mark.parametrize("reason", ["http_401", "http_403"])
    def test_a_refused_token_opens_it_at_once_with_an_alert(self, clock: Clock, reason: str) -> None:
        breaker.refused(NAME, reason)
        assert breaker.permit(NAME).wait_until == NOON + FIRST_PAUSE
        assert row().alert == reason


class TestProbing:
    def test_one_asker_gets_the_probe(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(FIRST_PAUSE)
        assert breaker.permit(NAME) == Permit(probe=True)
        assert [breaker.permit(NAME).probe for _ in range(5)] == [False] * 5

    def test_a_probe_that_is_never_reported_is_given_again(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(FIRST_PAUSE)
        assert breaker.permit(NAME).probe
        clock.shift(LONGEST_PAUSE - SECOND)
        assert not breaker.permit(NAME).probe
        clock.shift(SECOND)
        assert breaker.permit(NAME).probe

    def test_each_failed_probe_doubles_the_pause_up_to_its_cap(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        pauses = []
        for _ in range(12):
            waits = breaker.permit(NAME).wait_until
            assert waits
            pauses.append((waits - datetime.now(UTC)).total_seconds())
            clock.move_to(waits)
            assert breaker.permit(NAME).probe
            breaker.probe_failed(NAME, "reset")
        assert pauses[:6] == [1, 2, 4, 8, 16, 30]
        assert set(pauses[5:]) == {30}
        assert row().alert == "reset"
        assert all(first <= second for first, second in pairwise(pauses))

    def test_a_successful_probe_closes_it_and_all_is_forgotten(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        for _ in range(3):
            clock.shift(LONGEST_PAUSE)
            assert breaker.permit(NAME).probe
            breaker.probe_failed(NAME, "reset")
        breaker.succeeded(NAME)
        assert breaker.permit(NAME).free
        assert (row().alert, row().failures, row().openings, row().opened_at) == ("", 0, 0, None)
        fail(FAILURES_TO_OPEN)
        assert breaker.permit(NAME).wait_until == datetime.now(UTC) + FIRST_PAUSE

    def test_a_probe_that_found_nothing_to_send_is_given_to_the_next(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        clock.shift(FIRST_PAUSE)
        assert breaker.permit(NAME).probe
        breaker.withdraw(NAME)
        assert breaker.permit(NAME).probe

    def test_news_of_a_probe_do_not_open_a_closed_breaker(self, clock: Clock) -> None:
        breaker.probe_failed(NAME, "reset")
        breaker.withdraw(NAME)
        assert breaker.permit(NAME).free


class TestHolding:
    def test_it_waits_and_is_not_probed(self, clock: Clock) -> None:
        breaker.hold(NAME, 10)
        assert breaker.permit(NAME) == Permit(wait_until=NOON + 10 * SECOND)
        assert breaker.blocked_until(NAME) == NOON + 10 * SECOND
        clock.shift(10)
        assert breaker.permit(NAME) == Permit(free=True)

    @pytest.mark.parametrize(("first", "second"), [(5, 100), (100, 5), (9.5, 10.25), (10.25, 9.5), (1, 86_400)])
    def test_the_longer_of_two_counts(self, clock: Clock, first: float, second: float) -> None:
        breaker.hold(NAME, first)
        breaker.hold(NAME, second)
        assert breaker.permit(NAME).wait_until == NOON + timedelta(seconds=max(first, second))

    def test_a_new_hold_follows_an_old_one(self, clock: Clock) -> None:
        breaker.hold(NAME, 5)
        clock.shift(60)
        breaker.hold(NAME, 5)
        assert breaker.permit(NAME).wait_until == NOON + 65 * SECOND

    def test_an_open_breaker_is_not_probed_while_it_is_held(self, clock: Clock) -> None:
        fail(FAILURES_TO_OPEN)
        breaker.hold(NAME, 10)
        clock.shift(5)
        assert not breaker.permit(NAME).probe
        clock.shift(5)
        assert breaker.permit(NAME).probe

    def test_one_gateway_says_nothing_of_another(self, clock: Clock) -> None:
        breaker.permit("kannel")
        breaker.hold(NAME, 10)
        fail(FAILURES_TO_OPEN)
        assert breaker.permit("kannel").free
