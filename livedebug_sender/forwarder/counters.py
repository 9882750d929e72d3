"""Whole numbers that the worker processes of one forwarder share.

Each process adds to a column of its own, and reads the sum over all of them: no lock is
shared, so none is left behind by a process that was killed.
"""

from __future__ import annotations

import mmap
import threading

_BYTES = 8

#: What the first slots hold: what is in flight and what is still coming in (void, of a worker
#: that is gone); connections that are over; whether the end has begun; workers that died; signs
#: of a worker's life.
IN_FLIGHT, IN_FLIGHT_BYTES, RECEIVING_BYTES = VOID_WITH_WORKER = range(3)
CLOSED_CONNECTIONS, ENDING, WORKERS_REPLACED, HEARTBEATS = range(3, 7)
#: From here on: the metrics' own.
FIRST_METRIC = 7


class Counters:
    """A table of numbers, all 0, in memory that forked children share.

    Args:
        slots: how many numbers.
        columns: how many processes add to them.
    """

    def __init__(self, slots: int, columns: int = 1) -> None:
        self._columns = columns
        self._slots = slots
        # Never closed: it ends with the last process that has it.
        self._view = memoryview(mmap.mmap(-1, slots * columns * _BYTES)).cast("q")

    def column(self, index: int = 0) -> Column:
        return Column(self._view, self._columns, index)

    def of_column(self, slot: int, index: int) -> int:
        return self._view[slot * self._columns + index]

    def reset(self, slots: range, index: int) -> None:
        """Set these of one column to 0, once its process is gone."""
        for slot in slots:
            self._view[slot * self._columns + index] = 0


class Column:
    """What one process adds; for any number of its threads."""

    def __init__(self, view: memoryview, columns: int, index: int) -> None:
        self._view = view
        self._columns = columns
        self._index = index
        # Guards: this column. Reading takes no lock: each number is written at once.
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
