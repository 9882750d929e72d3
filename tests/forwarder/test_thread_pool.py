"""The threads of a server, of which one is always free."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from waiting import until

from livedebug_sender.forwarder.server.thread_pool import ThreadPool


class Work:
    """What each thread of a pool does: nothing, until it is told what."""

    def __init__(self, max_threads: int = 5) -> None:
        self.pool = ThreadPool(self._run, max_threads)
        self._end = threading.Event()
        self.running = 0
        self.left: list[bool] = []

    def _run(self) -> None:
        self.running += 1
        self._end.wait(20)
        self.left.append(self.pool.try_leave())

    def end(self) -> bool:
        self._end.set()
        return self.pool.join(time.monotonic() + 20)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    work.pool.start()
    yield work
    assert work.end()


def test_it_grows_only_when_the_last_free_thread_is_about_to_block(work):
    work.pool.block()
    assert until(lambda: work.running == 2)
    work.pool.unblock()
    work.pool.block()
    assert work.running == 2
    work.pool.block()
    assert until(lambda: work.running == 3)


def test_it_does_not_grow_beyond_its_bound(work):
    for _ in range(20):
        work.pool.block()
    assert until(lambda: work.running == 5)


def test_it_does_not_grow_once_it_is_stopped(work):
    work.pool.stop()
    work.pool.block()
    assert until(lambda: work.running == 1)


def test_all_but_the_last_free_thread_may_leave():
    work = Work()
    work.pool.start()
    for _ in range(2):
        work.pool.block()
    for _ in range(2):
        work.pool.unblock()
    assert until(lambda: work.running == 3)
    work.end()
    assert until(lambda: len(work.left) == 3)
    assert sorted(work.left) == [False, True, True]


def test_where_no_thread_can_be_started_it_goes_on_with_those_it_has(work, monkeypatch, caplog):
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        work.pool.block()
    assert "no further thread can be started" in caplog.text
    work.pool.unblock()
    work.pool.block()
    assert until(lambda: work.running == 2)


def test_join_says_false_while_a_thread_runs():
    work = Work()
    work.pool.start()
    assert not work.pool.join(time.monotonic() + 0.01)
    assert work.end()


def test_a_thread_that_fails_is_replaced_if_no_other_is_free(caplog):
    begun = threading.Semaphore(0)
    end = threading.Event()

    def work() -> None:
        begun.release()
        if not end.is_set():
            end.set()
            raise MemoryError
        end.wait(20)

    pool = ThreadPool(work, 5)
    pool.start()
    for _ in range(2):
        assert begun.acquire(timeout=20)
    assert pool.join(time.monotonic() + 20)
    assert caplog.messages == ["a thread ended: MemoryError"]
