"""What worker processes share: counters, bounds over them, and what each publishes."""

from __future__ import annotations

import os
import threading

import pytest

from livedebug_sender.forwarder.counters import FIRST_METRIC, VOID_WITH_WORKER, Counters
from livedebug_sender.forwarder.limits import BodyBytesLimit, InFlightLimit
from livedebug_sender.forwarder.published import Family, Published, WorkerState, combined
from livedebug_sender.forwarder.replies import HTTPError


def test_what_a_forked_process_adds_is_seen_by_all():
    counters = Counters(FIRST_METRIC, 3)
    pid = os.fork()
    if not pid:
        counters.column(2).add((0, 5), (4, 7))
        os._exit(0)
    os.waitpid(pid, 0)
    counters.column(0).add((0, 1))
    assert [counters.column(n).total(0) for n in range(3)] == [6, 6, 6]
    assert counters.of_column(4, 2) == 7
    counters.reset(VOID_WITH_WORKER, 2)
    assert counters.column().total(0) == 1
    assert counters.column().total(4) == 7


def test_no_addition_of_any_thread_is_lost():
    column = Counters(FIRST_METRIC, 2).column(1)
    threads = [
        threading.Thread(target=lambda: [column.add((3, 1), (4, 2)) for _ in range(2000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (column.total(3), column.total(4)) == (8000, 16000)


def test_the_bounds_are_of_all_workers_together():
    counters = Counters(FIRST_METRIC, 2)
    one, other = (InFlightLimit(counters.column(n), 2, 100) for n in range(2))
    one.acquire(50)
    other.acquire(50)
    with pytest.raises(HTTPError):
        other.acquire(0)
    one.release(50)
    with pytest.raises(HTTPError):
        other.acquire(51)
    other.acquire(50)
    assert one.read() == other.read() == (2, 100)
    bodies, others = (BodyBytesLimit(counters.column(n), 100) for n in range(2))
    assert bodies.acquire(60)
    assert not others.acquire(41)
    assert others.acquire(40)
    bodies.release(60)
    assert others.read() == 40


def state(values: dict[str, float], combine: str, fullness: float = 0.0) -> WorkerState:
    return WorkerState([Family("a", "gauge", "Words.", "l", values, combine)], fullness)


@pytest.mark.parametrize(("combine", "value"), [("sum", 5), ("max", 3), ("min", 2)])
def test_what_workers_published_becomes_one(combine, value):
    published = Published(3)
    published.write(0, state({"x": 2, "y": 1}, combine))
    published.write(2, state({"x": 3, "z": 7}, combine, 0.5))
    (family,) = combined(published.read())
    assert family.values == {"x": value, "y": 1, "z": 7}
    assert max(one.fullness for one in published.read()) == 0.5
    published.clear(2)
    assert [one.families[0].values for one in published.read()] == [{"x": 2, "y": 1}]


def test_more_than_there_is_room_for_is_not_published():
    with pytest.raises(ValueError, match="bytes of metrics, more than"):
        Published().write(0, state({f"label{n}": n for n in range(2000)}, "sum"))
