"""Ages where the clock of the machine is set: nothing that was confirmed expires for that."""

from __future__ import annotations

from pathlib import Path

import pytest
from queue_kinds import ROUTE, a_request, queue_options
from waiting import until

from livedebug_sender.forwarder.queue.age import AgeClock
from livedebug_sender.forwarder.queue.disk import housekeeper
from livedebug_sender.forwarder.queue.disk.disk_queue import DiskQueue
from livedebug_sender.forwarder.queue.memory import MemoryQueue

HOUR = 3600.0
PATIENCE = 20.0


class Clocks:
    """Time passes for both; the one on the wall can be set."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.elapsed = 50.0
        self.ages = AgeClock(lambda: self.wall, lambda: self.elapsed)

    def pass_(self, seconds: float) -> None:
        # In steps that are no jump for a thread that looks in between.
        while seconds > 0:
            step = min(seconds, 20.0)
            self.wall += step
            self.elapsed += step
            seconds -= step

    def set(self, seconds: float) -> None:
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_an_age_is_the_time_that_passed(clocks):
    at = clocks.wall
    clocks.pass_(100)
    assert clocks.ages.age(at) == pytest.approx(100)


def test_a_clock_that_is_put_forward_makes_nothing_older(clocks):
    before = clocks.wall
    clocks.pass_(10)
    clocks.set(50 * HOUR)
    after = clocks.wall
    clocks.pass_(5)
    assert clocks.ages.age(before) == pytest.approx(15)
    assert clocks.ages.age(after) == pytest.approx(5)
    clocks.set(50 * HOUR)
    clocks.pass_(5)
    assert clocks.ages.age(before) == pytest.approx(20)
    assert clocks.ages.age(after) == pytest.approx(10)


def test_a_clock_that_is_set_back_makes_nothing_older(clocks):
    before = clocks.wall
    clocks.set(-50 * HOUR)
    assert clocks.ages.age(before) < 0
    after = clocks.wall
    clocks.pass_(5)
    assert clocks.ages.age(after) == pytest.approx(5)


def test_what_came_before_this_process_ages_by_the_clock(clocks):
    assert clocks.ages.age(clocks.wall - 20 * HOUR) == 20 * HOUR


def test_a_clock_that_is_kept_right_in_small_steps_adds_up_to_nothing(clocks):
    at = clocks.wall
    for _ in range(100):
        clocks.pass_(100)
        clocks.set(1)
        clocks.ages.age(at)
    assert clocks.ages.age(at) == pytest.approx(100 * 101)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_clock_put_forward_expires_nothing_that_waits(
    kind: str, clocks: Clocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeper, "ROUND", 0.02)
    monkeypatch.setattr(housekeeper, "EXPIRE_EVERY", 0.0)
    options = queue_options(max_age=HOUR)
    queue = (
        MemoryQueue(options, ages=clocks.ages)
        if kind == "memory"
        else DiskQueue(tmp_path, options, ages=clocks.ages)
    )
    queue.put(a_request(b"before", received_at=clocks.wall))
    clocks.set(50 * HOUR)
    queue.put(a_request(b"after", received_at=clocks.wall))
    clocks.pass_(0.9 * HOUR)
    first = queue.take(ROUTE, PATIENCE)
    assert first.request.body == b"before"
    assert not queue.is_too_old(first)
    clocks.pass_(0.2 * HOUR)
    assert queue.is_too_old(first)
    queue.release(first)
    assert queue.take(ROUTE, 0.0) is None
    assert until(lambda: queue.stats().expired == 2)
    queue.close(5)
