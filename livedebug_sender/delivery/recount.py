"""Bringing the counters of the bounds back to what the queues really hold.

A signal handler that raises in the middle of `TrackWorker.put`, or a killed worker, may
leave a payload counted in that never was put, or that is gone. There is no telling at that
moment, since it may strike between the return of a call and the store of its result. So
nothing is guessed there; what is counted is compared with what is there when all is quiet.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FrameType

from ..runtime.host_signals import reraise_of_signal_handler
from .capacity import Held, QueueCapacity
from .ledger import Ledger


class Recount:
    """For one sender.

    Args:
        ledgers: what each holds, and whether its track comes in floods.
        put: the code in the midst of which a payload may be counted in and not yet put.
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
        # Held by who recounts; nobody waits for it. Re-entrant for the sake of its release,
        # which fails where it is not held.
        self._recounting = threading.RLock()

    def run(self) -> bool:
        """Compare and correct; whether something was corrected. Takes no lock that waits."""
        release = self._recounting.release
        try:
            return self._recounting.acquire(blocking=False) and self._correct()
        finally:
            try:
                release()
            except RuntimeError as error:  # another one is at it
                reraise_of_signal_handler(error)

    def _correct(self) -> bool:
        counted = self._capacity.counts()
        if self._putting():
            return False
        ledgers = list(self._ledgers())
        looks = [(ledger.held(), flood) for ledger, flood in ledgers]
        again = [(ledger.held(), flood) for ledger, flood in ledgers]
        if looks != again or self._capacity.counts() != counted:
            return False  # not quiet
        total = _sum(held for (_, held), _ in looks)
        steady = _sum(held for (_, held), flood in looks if not flood)
        if counted == (total, steady):
            return False
        self._capacity.correct(
            Held(counted[0].items - total.items, counted[0].size - total.size),
            Held(counted[1].items - steady.items, counted[1].size - steady.size),
        )
        return True

    def _putting(self) -> bool:
        """Is a thread in the midst of a put?"""
        for top in sys._current_frames().values():
            frame: FrameType | None = top
            while frame is not None:
                if frame.f_code is self._put:
                    return True
                frame = frame.f_back
        return False


def _sum(amounts: Iterable[Held]) -> Held:
    items = size = 0
    for amount in amounts:
        items += amount.items
        size += amount.size
    return Held(items, size)
