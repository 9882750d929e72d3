"""Which of the threads that take are woken; real threads, and a line without a queue."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from waiting import until

from livedebug_sender.forwarder.queue import wakeups
from livedebug_sender.forwarder.queue.wakeups import Wakeups


class Takers:
    """Threads that take numbers from a line, and keep those they took until told to go on."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wakeups = Wakeups(self.lock, self)
        self.numbers: list[int] = []
        self.asleep = 0
        self.looks = 0
        #: By thread, what it took.
        self.taken: dict[int, list[int]] = {}
        self.away = threading.Semaphore(0)
        self._put = 0
        self._ended = False

    def first(self) -> int | None:
        return self.numbers[0] if self.numbers else None

    def last(self) -> int:
        return self._put

    def put(self) -> None:
        with self.lock:
            self._put += 1
            self.numbers.append(self._put)
            self.wakeups.put()

    @property
    def all_taken(self) -> list[int]:
        return sorted(number for numbers in list(self.taken.values()) for number in numbers)

    def run(self, thread: int) -> None:
        while True:
            with self.lock:
                while not self.numbers:
                    if self._ended:
                        return
                    self.asleep += 1
                    self.wakeups.wait(None)
                    self.asleep -= 1
                    self.looks += 1
                self.taken.setdefault(thread, []).append(self.numbers.pop(0))
                self.wakeups.taken()
            self.away.acquire()

    def end(self) -> None:
        with self.lock:
            self._ended = True
            self.numbers.clear()
            self.wakeups.look_all()
        self.away.release(1000)


@contextmanager
def taking(count: int) -> Iterator[Takers]:
    takers = Takers()
    threads = [threading.Thread(target=takers.run, args=[n], daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    assert until(lambda: takers.asleep == count)
    try:
        yield takers
    finally:
        takers.end()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_what_is_put_while_all_sleep_is_taken_at_once(threads, monkeypatch):
    monkeypatch.setattr(wakeups, "PAUSE", 1000.0)
    with taking(threads) as takers:
        takers.put()
        assert until(lambda: takers.all_taken == [1])


def test_what_waits_behind_a_thread_that_does_not_return_is_taken_by_another(monkeypatch):
    monkeypatch.setattr(wakeups, "PAUSE", 0.001)
    with taking(4) as takers:
        for _ in range(4):
            takers.put()
        assert until(lambda: takers.all_taken == [1, 2, 3, 4])
        assert len(takers.taken) == 4


def test_while_one_thread_works_what_is_put_wakes_no_other(monkeypatch):
    monkeypatch.setattr(wakeups, "PAUSE", 1000.0)
    with taking(4) as takers:
        takers.put()
        assert until(lambda: takers.all_taken == [1])
        # One thread is away with it, another one watches.
        for _ in range(500):
            takers.put()
        assert takers.asleep == 3
        takers.away.release(500)
        assert until(lambda: len(takers.all_taken) == 501)
        assert len(takers.taken) == 1
        assert takers.looks <= 2


def test_a_thread_that_watches_leaves_to_the_others_what_they_keep_up_with(monkeypatch):
    monkeypatch.setattr(wakeups, "PAUSE", 0.001)
    with taking(2) as takers:
        looks = []
        # What waits at each look arrived after the look before.
        takers.first = lambda: looks.append(1) or takers.last() + 1
        takers.put()
        assert until(lambda: len(looks) > 20)
        assert (takers.all_taken, takers.looks) == ([1], 1)
        takers.first = lambda: None


def test_a_thread_that_watches_returns_at_its_timeout_though_others_keep_up(monkeypatch):
    monkeypatch.setattr(wakeups, "PAUSE", 0.001)
    takers = Takers()
    takers.first = lambda: takers.last() + 1  # all that waits is new, at each look
    returned = threading.Event()

    def wait() -> None:
        with takers.lock:
            takers.wakeups.taken()  # by another thread: this one is to watch
            takers.wakeups.wait(0.02)
        returned.set()

    threading.Thread(target=wait, daemon=True).start()
    try:
        assert returned.wait(20)
    finally:
        takers.first = lambda: None


def test_once_nothing_is_left_no_thread_wakes_up(monkeypatch):
    monkeypatch.setattr(wakeups, "PAUSE", 0.001)
    with taking(4) as takers:
        looks = []
        first = takers.first
        takers.first = lambda: looks.append(1) or first()
        for _ in range(20):
            takers.put()
        takers.away.release(20)
        assert until(lambda: len(takers.all_taken) == 20 and takers.asleep == 4)
        assert until(lambda: settled(looks))
    assert takers.all_taken == list(range(1, 21))


def settled(looks: list[int], pauses: int = 30) -> bool:
    """Is there no look for so many pauses?"""
    before = len(looks)
    threading.Event().wait(pauses * wakeups.PAUSE)
    return len(looks) == before
