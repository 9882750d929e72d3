"""`enqueue` interrupted by `enqueue` on the same thread, between any two lines."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import livedebug_sender
from livedebug_sender import Sender
from livedebug_sender.delivery.capacity import QueueCapacity
from livedebug_sender.delivery.payload_queue import PayloadQueue
from livedebug_sender.protocol.payload import Item
from livedebug_sender.runtime.atomic import STEP, AtomicInteger
from livedebug_sender.runtime.auto_reset_event import AutoResetEvent

Make = Callable[..., Sender]
LIBRARY = str(Path(livedebug_sender.__file__).parent)


def interrupted(call: Callable[[], Any], interrupt: Callable[[], Any]) -> int:
    """Run `call` with `interrupt` before each of its lines; how often that was."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            count += 1
            interrupt()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_an_enqueue_between_any_two_lines_of_an_enqueue_is_neither_lost_nor_counted_twice(
    make_sender: Make,
) -> None:
    from servers import RecordingServer

    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=0.01)
        taken: list[bool] = []
        lines = 0
        for _ in range(100):  # the first of them makes the engine and starts the thread
            lines += interrupted(
                lambda: taken.append(sender.enqueue("logs", '{"outer": 1}')),
                lambda: taken.append(sender.enqueue("logs", b'{"inner": 1}')),
            )
        assert lines > 1000
        assert sender.flush(20)
        stats = sender.stats()
        assert stats.enqueued == stats.delivered == sum(taken)
        assert sum(taken) + stats.dropped["queue_full"] == len(taken)
        assert len(intake.elements()) == sum(taken)


def test_refusals_between_any_two_lines_are_all_counted(make_sender: Make) -> None:
    sender = make_sender("http://127.0.0.1:9", max_queue_items=10, linger=600)
    taken: list[bool] = []
    for _ in range(50):
        interrupted(
            lambda: taken.append(sender.enqueue("diagnostics", b"{}")),
            lambda: taken.append(sender.enqueue("diagnostics", b"nothing")),
        )
    stats = sender.stats()
    assert stats.enqueued + sum(stats.dropped.values()) == len(taken)
    assert stats.enqueued == sum(taken)


def test_an_atomic_integer_loses_no_addition_of_any_thread() -> None:
    number = AtomicInteger()

    def add() -> None:
        for _ in range(20_000):
            number.add(3, STEP)
            number.add(-1, STEP)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number.read() == 6 * 20_000 * 2


def test_the_queue_gives_in_order_what_was_put_and_no_more_than_asked() -> None:
    waiting = PayloadQueue(QueueCapacity(10, 100), AutoResetEvent())
    batch: list[Item] = []
    waiting.move_to(batch, 3)
    assert batch == []
    for item in (b"1", b"2", b"3"):
        waiting.put(item)
    assert len(waiting) == 3
    waiting.move_to(batch, 2)
    assert (batch, len(waiting)) == ([b"1", b"2"], 1)
    waiting.move_to(batch, 9)
    assert (batch, len(waiting)) == ([b"1", b"2", b"3"], 0)


def test_five_wakes_end_one_sleep_and_not_the_next() -> None:
    event = AutoResetEvent()
    waiting = PayloadQueue(QueueCapacity(10, 100), event)
    for _ in range(5):
        waiting.wake()
    assert event.wait(0.001)
    assert not event.wait(0.001)
    waiting.wake()
    waiting.sleep(10)
    assert not event.wait(0.001)  # it was that wake that ended the sleep
    waiting.sleep(-1)  # over before it began


def test_a_busy_consumer_is_not_woken_and_a_lingering_one_only_for_a_full_batch() -> None:
    capacity = QueueCapacity(1000, 100_000)
    waiting = PayloadQueue(capacity, AutoResetEvent())

    def put() -> None:
        capacity.add_items(1, STEP)
        capacity.add_bytes(1, STEP)
        waiting.put(b"x")

    put()
    assert waiting.wants_wake()  # nobody is there yet
    waiting.wait_for_first()
    put()
    assert not waiting.wants_wake()
    wakes = []

    def feed() -> None:
        for _ in range(50):
            put()
            if waiting.wants_wake():
                wakes.append(len(waiting))
                waiting.wake()
                return

    feeder = threading.Timer(0.05, feed)
    feeder.start()
    waiting.wait_for_more(20, 1000, 10)
    feeder.join()
    assert wakes == [22]
