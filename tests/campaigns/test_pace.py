"""Rates hold over all workers; each pacer here is a worker of its own, and the clock is the test's."""

from collections.abc import Iterable, Sequence

import pytest

from campaigns.sending.pace import Pacer

START = 1_800_000_000.0
TICK = 0.005


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def departures(pacers: Iterable[Pacer], clock: Clock, seconds: float) -> list[float]:
    """When messages leave, if all workers send whatever they may; seconds since the beginning."""
    left, until = [], clock.time + seconds
    while clock.time < until:
        for pacer in pacers:
            while pacer.ready():
                pacer.spend()
                left.append(clock.time - START)
        clock.time += TICK
    return left


def change(pacers: Iterable[Pacer], rate: float) -> None:
    """Somebody changes the rate, and all workers hear of it."""
    for pacer in pacers:
        pacer.rate = rate


def most_in_a_second(left: Sequence[float]) -> int:
    """The greatest number of departures in any second."""
    return max(sum(1 for moment in left if first <= moment < first + 1) for first in left)


@pytest.mark.django_db
class TestPacer:
    def test_without_a_rate_nothing_waits(self, clock: Clock) -> None:
        pacer = Pacer("gateway:probe", None, clock)
        for _ in range(10_000):
            assert pacer.ready()
            pacer.spend()

    @pytest.mark.parametrize("workers", [1, 2, 4])
    @pytest.mark.parametrize("rate", [1, 10, 50, 333.3, 500])
    def test_all_workers_together_keep_the_rate(self, clock: Clock, rate: float, workers: int) -> None:
        left = departures([Pacer("gateway:probe", rate, clock) for _ in range(workers)], clock, 20)
        assert len(left) == pytest.approx(20 * rate, rel=0.02, abs=1)
        assert most_in_a_second(left) <= rate * 1.1 + 1

    def test_two_keys_do_not_share(self, clock: Clock) -> None:
        left = departures([Pacer("campaign:1", 10, clock), Pacer("campaign:2", 10, clock)], clock, 10)
        assert len(left) == pytest.approx(200, rel=0.02)

    def test_after_a_pause_nothing_is_made_up_for(self, clock: Clock) -> None:
        pacers = [Pacer("gateway:probe", 50, clock) for _ in range(2)]
        departures(pacers, clock, 2)
        clock.time += 600
        resumed = clock.time - START
        left = departures(pacers, clock, 5)
        assert len([moment for moment in left if moment < resumed + 1]) <= 50 * 1.1 + 1

    def test_a_new_worker_joins_the_present_pace(self, clock: Clock) -> None:
        first = Pacer("gateway:probe", 100, clock)
        departures([first], clock, 1)
        left = departures([first, Pacer("gateway:probe", 100, clock)], clock, 4)
        assert len(left) == pytest.approx(400, rel=0.02)

    @pytest.mark.parametrize("rate", [0.02, 0.1, 1, 10])
    def test_slices_that_end_waste_nothing(self, clock: Clock, rate: float) -> None:
        left: list[float] = []
        for _ in range(10):
            left += departures([Pacer("gateway:probe", rate, clock) for _ in range(2)], clock, 20)
        assert len(left) == pytest.approx(200 * rate, rel=0.02, abs=1)

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize(("before", "after"), [(0.01, 100), (1, 50), (0.02, 0.5), (20, 500)])
    def test_a_higher_rate_counts_at_once(self, clock: Clock, before: float, after: float, workers: int) -> None:
        pacers = [Pacer("gateway:probe", before, clock) for _ in range(workers)]
        departures(pacers, clock, 2)
        change(pacers, after)
        left = departures(pacers, clock, 10)
        assert len(left) == pytest.approx(10 * after, rel=0.02, abs=1)
        assert left[0] - 2 <= max(0.1, 1 / after) + 2 * TICK
        assert most_in_a_second(left) <= after * 1.1 + 1

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize(("before", "after"), [(100, 0.05), (500, 1), (333.3, 10), (None, 2)])
    def test_a_lower_rate_does_too_and_nothing_taken_before_is_left(
        self, clock: Clock, before: float | None, after: float, workers: int
    ) -> None:
        pacers = [Pacer("gateway:probe", before, clock) for _ in range(workers)]
        if before:
            departures(pacers, clock, 2.05)
        change(pacers, after)
        left = departures(pacers, clock, 40)
        assert len(left) == pytest.approx(40 * after, rel=0.02, abs=1)
        assert most_in_a_second(left) <= after * 1.1 + 1
