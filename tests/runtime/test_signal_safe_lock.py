"""The lock that a host's signal handler can't leave taken; real signals."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from livedebug_sender.runtime.signal_safe_lock import SignalSafeLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs setitimer")


class TimeOut(Exception):
    """What the host's handler raises."""


@pytest.fixture
def _raising_handler() -> Iterator[None]:
    def handler(*_: object) -> None:
        raise TimeOut

    before = signal.signal(signal.SIGALRM, handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def is_free(lock: SignalSafeLock) -> bool:
    """Can another thread have it?"""
    had: list[bool] = []

    def have() -> None:
        had.append(lock.acquire(blocking=False))
        if had[0]:
            lock.release()

    thread = threading.Thread(target=have)
    thread.start()
    thread.join()
    return had[0]


def test_it_is_held_in_the_block_and_free_after_it_however_it_ends() -> None:
    lock = SignalSafeLock()
    with lock:
        assert not is_free(lock)
        with lock:
            pass
        assert not is_free(lock)
    assert is_free(lock)
    with pytest.raises(ValueError, match="mine"), lock:
        raise ValueError("mine")
    assert is_free(lock)


@pytest.mark.usefixtures("_raising_handler")
def test_what_a_handler_raises_around_a_block_leaves_it_free() -> None:
    # A `threading.RLock` stays taken in about one of 100 strikes on 3.14, where a strike can
    # come between the call of `__enter__` and the block.
    lock = SignalSafeLock()
    strikes = 0
    end = time.monotonic() + 20
    while strikes < 2000 and time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.00001)
            while True:
                with lock:
                    pass
        except TimeOut:
            strikes += 1
            # By itself it would only be counted up by this thread.
            assert strikes % 50 or is_free(lock)
    assert strikes > 100
    assert is_free(lock)


@pytest.mark.usefixtures("_raising_handler")
def test_a_handler_that_raises_while_it_is_waited_for_takes_nothing_and_frees_nothing() -> None:
    lock = SignalSafeLock()
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            over.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    with pytest.raises(TimeOut), lock:
        pass
    assert not is_free(lock)
    over.set()
    holder.join()
    assert is_free(lock)
