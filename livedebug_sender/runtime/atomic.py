"""An integer that any thread, signal handler or finalizer may add to, without a lock.

A lock would not be enough: a garbage collection or a signal can interrupt its holder
at any line and add again on the same thread (a plain lock deadlocks, a re-entrant one
loses the inner addition between the outer one's load and store), and a preempted holder
makes every other thread of the host wait.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from .signal_safe_lock import SignalSafeLock

#: The second argument of `AtomicInteger.add`.
STEP = io.SEEK_CUR


class _SeekInteger:
    """An integer from 0 to 2**63 with an atomic add.

    CPython has one operation that adds any integer and returns the result in a single C
    call, and so can't be interrupted: a relative seek, which may go beyond the end of the
    data. No byte is ever stored.

    ``add(step, STEP)`` returns the new value; a subtraction stops at zero. It is the
    seek itself, not a Python function around it, which could be interrupted.
    """

    __slots__ = ("add", "read")

    def __init__(self) -> None:
        position = io.BytesIO()
        self.add: Callable[[int, int], int] = position.seek
        self.read: Callable[[], int] = position.tell


class _LockedInteger:
    """The same without the GIL, where a seek loses one addition in a hundred.

    There a lock is enough, if it is re-entrant: between the load and the store of an addition
    of plain integers CPython neither handles signals nor collects garbage.
    """

    __slots__ = ("_lock", "_value")

    def __init__(self) -> None:
        self._lock = SignalSafeLock()
        self._value = 0

    def add(self, step: int, _: int) -> int:
        with self._lock:
            self._value += step
            return self._value

    def read(self) -> int:
        return self._value


HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
AtomicInteger = _SeekInteger if HAS_GIL else _LockedInteger
