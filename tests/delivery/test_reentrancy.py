"""`enqueue` interrupted by `enqueue` on the same thread, between any two lines."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import livedebug_sender
from livedebug_sender import Sender
from livedebug_sender.delivery.capacity import ITEM, Room
from livedebug_sender.delivery.payload_queue import PayloadQueue
from livedebug_sender.runtime.atomic import STEP, AtomicInteger

Make = Callable[..., Sender]
LIBRARY = str(Path(livedebug_sender.__file__).parent)


def interrupted(call: Callable[[], Any], interrupt: Callable[[], Any]) -> int:
    """Run `call` with `interrupt` before each of its lines; how often that was."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(LIBRARY) and (
            frame.f_code.co_filename != queue.__file__
        ):
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


def test_the_queue_is_a_queue() -> None:
    waiting = PayloadQueue(Room(10, 100))
    assert isinstance(waiting, queue.Queue)
    assert waiting.empty()
    waiting.put_nowait(b"1")
    waiting.put_nowait(b"2")
    assert waiting.qsize() == 2
    assert waiting.get_nowait() == b"1"
    assert waiting.get_nowait() == b"2"
    try:
        waiting.get_nowait()
    except queue.Empty:
        pass
    else:
        raise AssertionError


def test_ringing_often_wakes_once() -> None:
    waiting = PayloadQueue(Room(10, 100))
    for _ in range(5):
        waiting.ring()
    waiting.sleep(None)
    waiting.sleep(0.01)
    waiting.sleep(-1)


def test_a_busy_consumer_is_not_rung_for_and_a_lingering_one_only_for_a_full_batch() -> None:
    room = Room(1000, 100_000)
    take = room.counters[False].add
    waiting = PayloadQueue(room)
    assert waiting.put_nowait(b"x")  # nobody is there yet
    waiting.wait_for_first()
    assert not waiting.put_nowait(b"x")
    rings = []

    def feed() -> None:
        for _ in range(50):
            take(ITEM + 1, STEP)
            if waiting.put_nowait(b"x"):
                rings.append(waiting.qsize())
                waiting.ring()
                return

    feeder = threading.Timer(0.05, feed)
    feeder.start()
    waiting.wait_for_more(20, 1000, 10)
    feeder.join()
    assert rings == [22]
