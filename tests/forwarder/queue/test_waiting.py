"""The index of what waits on a disk, without a disk."""

from __future__ import annotations

from queue_kinds import ROUTE

from livedebug_sender.forwarder.queue.disk.segment import TableSummary
from livedebug_sender.forwarder.queue.disk.waiting import RouteLine, Waiting

LATER, EARLIER = 9, 3


def filled(*numbers: int) -> Waiting:
    """Segments of these numbers, one after the other, with three requests in each."""
    waiting = Waiting(0)
    for number in numbers:
        waiting.add_segment(number, [TableSummary(ROUTE, 3, 30)])
    return waiting


def a_line(waiting: Waiting) -> RouteLine:
    return RouteLine(waiting, ROUTE, lambda: 100.0)


def test_what_another_process_left_is_not_new_though_its_number_is_the_highest():
    waiting = filled(5)
    line = a_line(waiting)
    last = line.last()
    waiting.add_segment(LATER, [TableSummary(ROUTE, 3, 30)], older=True)
    first = line.first()
    assert first is not None
    assert first <= last


def test_after_the_clock_was_set_back_what_waits_from_before_is_not_new():
    line = a_line(filled(5, EARLIER))
    first = line.first()
    assert first is not None
    assert first <= line.last()


def test_what_arrives_after_the_clock_was_set_back_is_new():
    waiting = filled(5)
    line = a_line(waiting)
    last = line.last()
    waiting.add_segment(EARLIER, [TableSummary(ROUTE, 3, 30)])
    for _ in range(3):
        assert waiting.take(ROUTE, 100.0)
    first = line.first()
    assert first is not None
    assert first > last


def test_what_was_released_is_not_new_once_its_time_has_come():
    waiting = Waiting(0)
    waiting.add_segment(5, [TableSummary(ROUTE, 1, 10)], older=True)
    line = a_line(waiting)
    last = line.last()
    lease = waiting.take(ROUTE, 100.0)
    assert lease
    assert line.first() is None
    waiting.release(lease, 100.0)
    first = line.first()
    assert first is not None
    assert first <= last
