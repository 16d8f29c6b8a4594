"""Rate limits hold over all workers. Each rate limiter here stands for one worker; the test moves the clock."""

from collections.abc import Iterable, Sequence

import pytest

from campaigns.sending.rate_limit import AHEAD_SECONDS, RateLimiter, Reservation, reserve

START = 1_800_000_000.0
TICK = 0.005


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sending_times(limiters: Iterable[RateLimiter], clock: Clock, seconds: float) -> list[float]:
    """The times at which messages are sent if all workers send as much as permitted, in seconds since START."""
    sent_at, until = [], clock.time + seconds
    while clock.time < until:
        for limiter in limiters:
            while True:
                rate = limiter.wants(clock.time)
                if rate and clock.time < until:
                    ahead = min(AHEAD_SECONDS, until - clock.time - TICK)
                    limiter.add(reserve({limiter.key: rate}, clock.time, ahead)[limiter.key], rate)
                if not limiter.ready(clock.time):
                    break
                limiter.spend()
                sent_at.append(clock.time - START)
        clock.time += TICK
    return sent_at


def change_rate(limiters: Iterable[RateLimiter], rate: float) -> None:
    """Change the rate for all workers."""
    for limiter in limiters:
        limiter.rate = rate


def max_per_second(sent_at: Sequence[float]) -> int:
    """The greatest number of departures in any second."""
    return max(sum(1 for moment in sent_at if first <= moment < first + 1) for first in sent_at)


@pytest.mark.django_db
class TestRateLimiter:
    def test_without_a_rate_there_is_no_limit(self, clock: Clock) -> None:
        limiter = RateLimiter("gateway:probe", None)
        for _ in range(10_000):
            assert limiter.ready(clock.time)
            limiter.spend()

    @pytest.mark.parametrize("workers", [1, 2, 4])
    @pytest.mark.parametrize("rate", [1, 10, 50, 333.3, 500])
    def test_all_workers_together_keep_the_rate(self, clock: Clock, rate: float, workers: int) -> None:
        sent_at = sending_times([RateLimiter("gateway:probe", rate) for _ in range(workers)], clock, 8)
        assert len(sent_at) == pytest.approx(8 * rate, rel=0.02, abs=1)
        assert max_per_second(sent_at) <= rate * 1.1 + 1

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize("rate", [0.5, 2, 50, 500])
    def test_a_slow_database_does_not_lower_the_rate(self, clock: Clock, rate: float, workers: int) -> None:
        limiters = [RateLimiter("gateway:probe", rate) for _ in range(workers)]
        pending: dict[RateLimiter, tuple[float, Reservation]] = {}
        sent_at, until = [], START + 8
        while clock.time < until:
            for limiter in limiters:
                if limiter in pending and pending[limiter][0] <= clock.time:
                    limiter.add(pending.pop(limiter)[1], rate)
                if limiter not in pending and limiter.wants(clock.time):
                    answer = reserve({limiter.key: rate}, clock.time)[limiter.key]
                    pending[limiter] = clock.time + 0.12, answer
                while limiter.ready(clock.time):
                    limiter.spend()
                    sent_at.append(clock.time - START)
            clock.time += 0.03
        assert len(sent_at) == pytest.approx(8 * rate, rel=0.02, abs=1)
        assert max_per_second(sent_at) <= rate * 1.1 + 1

    def test_a_session_near_its_end_gives_nothing_out_twice(self) -> None:
        taken = [reserve({"gateway:probe": 100}, START)["gateway:probe"]]
        taken += [reserve({"gateway:probe": 100}, START, ahead)["gateway:probe"] for ahead in (0.1, AHEAD_SECONDS)]
        assert sum(reservation.number for reservation in taken) <= 100 * (AHEAD_SECONDS + 0.1) + 1

    def test_two_keys_do_not_share(self, clock: Clock) -> None:
        sent_at = sending_times([RateLimiter("campaign:1", 10), RateLimiter("campaign:2", 10)], clock, 10)
        assert len(sent_at) == pytest.approx(200, rel=0.02)

    def test_a_pause_is_not_made_up_for(self, clock: Clock) -> None:
        limiters = [RateLimiter("gateway:probe", 50) for _ in range(2)]
        sending_times(limiters, clock, 2)
        clock.time += 600
        resumed = clock.time - START
        sent_at = sending_times(limiters, clock, 5)
        assert len([moment for moment in sent_at if moment < resumed + 1]) <= 50 * 1.1 + 1

    def test_a_new_worker_shares_the_rate(self, clock: Clock) -> None:
        first = RateLimiter("gateway:probe", 100)
        sending_times([first], clock, 1)
        sent_at = sending_times([first, RateLimiter("gateway:probe", 100)], clock, 4)
        assert len(sent_at) == pytest.approx(400, rel=0.02)

    @pytest.mark.parametrize("rate", [0.02, 0.1, 1, 10])
    def test_ending_sessions_waste_nothing(self, clock: Clock, rate: float) -> None:
        sent_at: list[float] = []
        for _ in range(5):
            sent_at += sending_times([RateLimiter("gateway:probe", rate) for _ in range(2)], clock, 20)
        assert len(sent_at) == pytest.approx(100 * rate, rel=0.02, abs=1)

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize(("before", "after"), [(0.01, 100), (1, 50), (0.02, 0.5), (20, 500)])
    def test_a_higher_rate_applies_at_once(self, clock: Clock, before: float, after: float, workers: int) -> None:
        limiters = [RateLimiter("gateway:probe", before) for _ in range(workers)]
        sending_times(limiters, clock, 2)
        change_rate(limiters, after)
        sent_at = sending_times(limiters, clock, 10)
        assert len(sent_at) == pytest.approx(10 * after, rel=0.02, abs=1 + 2 * AHEAD_SECONDS * after)
        assert sent_at[0] - 2 <= max(0.1, 1 / after) + AHEAD_SECONDS + 2 * TICK
        assert max_per_second(sent_at) <= after * 1.1 + 1

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize(("before", "after"), [(100, 0.05), (500, 1), (333.3, 10), (None, 2)])
    def test_a_lower_rate_applies_at_once_and_voids_earlier_reservations(
        self, clock: Clock, before: float | None, after: float, workers: int
    ) -> None:
        limiters = [RateLimiter("gateway:probe", before) for _ in range(workers)]
        if before:
            sending_times(limiters, clock, 2.05)
        change_rate(limiters, after)
        sent_at = sending_times(limiters, clock, 20)
        assert len(sent_at) == pytest.approx(20 * after, rel=0.02, abs=1)
        assert max_per_second(sent_at) <= after * 1.1 + 1
