"""Corrects the counters of the limits by the actual contents of the queues.

If a signal handler raises in the middle of `TrackWorker.put`, or a worker is killed, a payload
may stay counted that was never put, or that is gone. That can't be detected at that moment,
since it may be between the return of a call and the store of its result. So the counters are
compared with the queues later, while nothing moves.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType

from ..runtime.atomic import HAS_GIL
from ..runtime.host_signals import reraise_of_signal_handler
from .capacity import Amount, QueueCapacity
from .ledger import Ledger

#: Seconds that a put takes at most, unless the machine is overloaded.
_PUT_TAKES = 0.01


class Recount:
    """The recount of one sender.

    Args:
        ledgers: each ledger, and whether its track is a high-volume one.
        put: the code object in which a payload is counted and then put.
    """

    def __init__(
        self,
        capacity: QueueCapacity,
        ledgers: Callable[[], Iterable[tuple[Ledger, bool]]],
        put: CodeType,
    ) -> None:
        self._capacity = capacity
        self._ledgers = ledgers
        self._put = put
        # Held by the thread that recounts; no thread waits for it. Re-entrant, since the release
        # of such a lock fails on a thread that does not hold it.
        self._recounting = threading.RLock()

    def run(self) -> bool:
        """Compare and correct; returns whether something was corrected. Waits for no lock."""
        release = self._recounting.release
        try:
            return self._recounting.acquire(blocking=False) and self._correct()
        finally:
            try:
                release()
            except RuntimeError as error:  # another thread recounts
                reraise_of_signal_handler(error)

    def _correct(self) -> bool:
        if not (HAS_GIL or all(ledger.is_empty for ledger, _ in self._ledgers())):
            return False  # CPython 3.13t has aborted in a copy of a queue while others put to it
        counted, looks = self._capacity.counts(), self._look()
        total = _sum(held for (_, held), _ in looks)
        steady = _sum(held for (_, held), flood in looks if not flood)
        if counted == (total, steady) or self._putting():
            return False
        if (self._capacity.counts(), self._look()) != (counted, looks):
            return False  # something moves
        self._capacity.correct(
            Amount(counted[0].items - total.items, counted[0].size - total.size),
            Amount(counted[1].items - steady.items, counted[1].size - steady.size),
        )
        return True

    def _look(self) -> list[tuple[tuple[object, Amount], bool]]:
        return [(ledger.held(), flood) for ledger, flood in self._ledgers()]

    def _putting(self) -> bool:
        """Whether any thread is in the middle of a put."""
        if not HAS_GIL:
            # CPython 3.13t crashes if a thread reads the frames of another. A put within this
            # time is noticed as a move; after one that takes longer, the next recount corrects.
            time.sleep(_PUT_TAKES)
            return False
        # Without a variable for a frame: one of them is that of this call, and a frame that
        # references itself would keep its callers, including the host's, alive until the next
        # garbage collection.
        return any(
            code is self._put for top in sys._current_frames().values() for code in _codes(top)
        )


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    """The code objects of a frame and its callers."""
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _sum(amounts: Iterable[Amount]) -> Amount:
    items = size = 0
    for amount in amounts:
        items += amount.items
        size += amount.size
    return Amount(items, size)
