"""Integers that the worker processes of a forwarder share.

Each process adds to its own column, and reads the sum over all columns: no lock is shared,
so a process that is killed can't leave one held.
"""

from __future__ import annotations

import mmap
import threading

_BYTES = 8

#: The first slots: requests and bytes in flight, and bytes being received (reset when a worker
#: dies); connections that have ended; whether the shutdown has begun; workers that died;
#: heartbeats of a worker.
IN_FLIGHT, IN_FLIGHT_BYTES, RECEIVING_BYTES = VOID_WITH_WORKER = range(3)
CLOSED_CONNECTIONS, ENDING, WORKERS_REPLACED, HEARTBEATS = range(3, 7)
#: The slots from here on are used by the metrics.
FIRST_METRIC = 7


class Counters:
    """A table of integers, all 0, in memory shared with forked children.

    Args:
        slots: number of integers.
        columns: number of processes that add to them.
    """

    def __init__(self, slots: int, columns: int = 1) -> None:
        self._columns = columns
        self._slots = slots
        # Never closed: it is freed with the last process that uses it.
        self._view = memoryview(mmap.mmap(-1, slots * columns * _BYTES)).cast("q")

    def column(self, index: int = 0) -> Column:
        return Column(self._view, self._columns, index)

    def of_column(self, slot: int, index: int) -> int:
        return self._view[slot * self._columns + index]

    def reset(self, slots: range, index: int) -> None:
        """Set these slots of a column to 0, after its process has ended."""
        for slot in slots:
            self._view[slot * self._columns + index] = 0


class Column:
    """The column of one process; may be used by any number of its threads."""

    def __init__(self, view: memoryview, columns: int, index: int) -> None:
        self._view = view
        self._columns = columns
        self._index = index
        # Protects writes to this column. Reading needs no lock: an integer is written atomically.
        self._lock = threading.Lock()

    def add(self, *amounts: tuple[int, int]) -> None:
        """Add (slot, number) pairs."""
        view, columns, index = self._view, self._columns, self._index
        with self._lock:
            for slot, number in amounts:
                view[slot * columns + index] += number

    def total(self, slot: int) -> int:
        """The sum over all columns."""
        first = slot * self._columns
        if self._columns == 1:
            return self._view[first]
        return sum(self._view[first : first + self._columns])
