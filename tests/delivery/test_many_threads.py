"""Many threads at one sender: the sums hold at every moment, with the interpreter's lock or not."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable

from servers import RecordingServer

from livedebug_sender import Sender, Track
from livedebug_sender.delivery.capacity import QueueCapacity
from livedebug_sender.delivery.drops import DropReporter
from livedebug_sender.delivery.ledger import Ledger, LedgerState
from livedebug_sender.delivery.payload_queue import PayloadQueue
from livedebug_sender.delivery.totals import stats_of
from livedebug_sender.runtime.atomic import STEP, AtomicInteger
from livedebug_sender.runtime.auto_reset_event import AutoResetEvent
from livedebug_sender.runtime.clock import monotonic
from livedebug_sender.runtime.log_limiter import LogLimiter

Make = Callable[..., Sender]
THREADS = 8
EACH = 1500
#: Without the interpreter's lock a race has to be given the time to be lost.
SECONDS = 0.2 if getattr(sys, "_is_gil_enabled", lambda: True)() else 1.5
REFUSED = ("queue_full", "too_large", "invalid", "closed")
LOST = ("rejected", "undeliverable", "shutdown")


def at_once(work: Callable[[int], None], threads: int = THREADS) -> list[threading.Thread]:
    """Start threads that begin at one moment, and switch as often as can be."""
    begin = threading.Barrier(threads)

    def run(number: int) -> None:
        begin.wait(30)
        work(number)

    started = [threading.Thread(target=run, args=(n,)) for n in range(threads)]
    for thread in started:
        thread.start()
    return started


def test_additions_of_many_threads_are_all_counted() -> None:
    number = AtomicInteger()
    added: list[int] = []
    until = monotonic() + SECONDS

    def add(_: int) -> None:
        count = 0
        while monotonic() < until:
            for _ in range(1000):
                number.add(3, STEP)
                number.add(-2, STEP)
            count += 1000
        added.append(count)

    for thread in at_once(add):
        thread.join(60)
    assert number.read() == sum(added) > 0


def test_from_many_threads_the_sums_hold_at_every_moment(make_sender: Make) -> None:
    told: list[int] = []  # `append` is atomic on every build
    answers: list[bool] = []
    faults: list[object] = []
    over = threading.Event()
    payloads = [b"{}", b'{"a":"' + b"x" * 500 + b'"}', {"a": [1, 2]}, b"no JSON", None]

    with RecordingServer() as intake:
        sender = make_sender(
            intake.url, max_queue_items=400, linger=0.005,
            on_drop=lambda track, reason, count: told.append(count),
        )  # fmt: skip

        def offer(number: int) -> None:
            for n in range(EACH):
                track = ("logs", "snapshots", "diagnostics")[(number + n) % 3]
                answers.append(sender.enqueue(track, payloads[n % len(payloads)]))

        def look() -> None:
            before = 0
            while not over.is_set():
                stats = sender.stats()
                lost = sum(stats.dropped[why] for why in LOST)
                if stats.enqueued != stats.delivered + stats.pending + lost:
                    faults.append(stats)
                if not before <= stats.enqueued <= THREADS * EACH:
                    faults.append(stats)
                before = stats.enqueued
                sender.flush(0.001)

        looker = threading.Thread(target=look)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            looker.start()
            for thread in at_once(offer):
                thread.join(120)
        finally:
            sys.setswitchinterval(interval)
            over.set()
            looker.join(60)
        assert sender.flush(60)
        stats = sender.stats()
        assert sender.close(60)
        assert not faults, faults[0]
        refused = sum(stats.dropped[why] for why in REFUSED)
        assert stats.enqueued == answers.count(True) == stats.delivered
        assert refused == answers.count(False) == sum(told)
        assert stats.enqueued + refused == THREADS * EACH
        assert (stats.pending, stats.pending_bytes) == (0, 0)
        assert len(intake.elements()) == stats.delivered


def test_what_the_worker_takes_out_of_the_queue_during_a_look_is_not_counted_twice() -> None:
    capacity = QueueCapacity(100, 1000)
    queue = PayloadQueue(capacity, AutoResetEvent())

    class LedgerAtWork(Ledger):
        def look(self) -> tuple[LedgerState, int]:
            before = super().look()
            self.gather(100)
            return before

    ledger = LedgerAtWork(Track.LOGS, queue, capacity, DropReporter(None, LogLimiter()))
    for _ in range(5):
        queue.put(b"{}")
    stats = stats_of(Counter(), [ledger], 10, (0, 0))
    assert (stats.enqueued, stats.pending) == (5, 5)
