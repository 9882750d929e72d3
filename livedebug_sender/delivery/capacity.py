"""The limits of a sender's queue, and how much is in it: items and bytes, over all tracks.

Both waiting payloads and those in flight count. The counters are changed without a lock: a
thread that is interrupted between the counter and the queue may leave a payload counted that
is not queued. So they are used for the limits only; the exact counts are in the ledgers.
"""

from __future__ import annotations

from typing import NamedTuple

from ..protocol.tracks import Track
from ..runtime.atomic import STEP, AtomicInteger

#: The high-volume tracks, and the share of either limit that they may use together, so that
#: they never crowd out probe statuses and symbols.
FLOODS = (Track.SNAPSHOTS, Track.LOGS)
FLOOD_SHARE = 0.9


class Amount(NamedTuple):
    """A number of payloads, and their bytes."""

    items: int
    size: int


class QueueCapacity:
    """The limits of one sender: for everything, and for high-volume tracks.

    A payload is counted before the limits are checked, and before it is queued. If two are
    put at once and only one fits, both may be refused, but they are never both accepted.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.bound = Amount(max_items, max_bytes)
        # With a limit of one item, high-volume tracks would have no room at all.
        flood_items = max(1, int(max_items * FLOOD_SHARE))
        self.flood_bound = Amount(flood_items, int(max_bytes * FLOOD_SHARE))
        self._items = AtomicInteger()
        self._bytes = AtomicInteger()
        # The part of the other tracks. The rest is that of the high-volume tracks: so a snapshot
        # or log changes two counters, not four.
        self._steady_items = AtomicInteger()
        self._steady_bytes = AtomicInteger()
        #: Count a payload by ``add_items(1, STEP)`` and ``add_bytes(size, STEP)``; each returns
        #: the new total. The C functions themselves, since a Python call around them would
        #: double the time.
        self.add_items = self._items.add
        self.add_bytes = self._bytes.add

    def bound_of(self, *, flood: bool) -> Amount:
        return self.flood_bound if flood else self.bound

    def add_steady(self, size: int) -> None:
        """Call it after `add_items` and `add_bytes` for a payload of another track."""
        self._steady_items.add(1, STEP)
        self._steady_bytes.add(size, STEP)

    def release(self, items: int, size: int, *, flood: bool) -> None:
        """Subtract, in an order in which the high-volume part never appears too small."""
        if not flood:
            self._steady_bytes.add(-size, STEP)
            self._steady_items.add(-items, STEP)
        self._bytes.add(-size, STEP)
        self._items.add(-items, STEP)

    def exceeded(self, *, flood: bool) -> bool:
        """Whether more is counted than the limit of such a track allows."""
        items, size = self.held()
        if items > self.bound.items or size > self.bound.size:
            return True
        return flood and (
            items - self._steady_items.read() > self.flood_bound.items
            or size - self._steady_bytes.read() > self.flood_bound.size
        )

    def held(self) -> Amount:
        return Amount(self._items.read(), self._bytes.read())

    def crowded(self) -> bool:
        """Whether half of either limit is in use, so that lingering would risk drops."""
        items, size = self.held()
        return items * 2 >= self.bound.items or size * 2 >= self.bound.size

    def counts(self) -> tuple[Amount, Amount]:
        """The total, and the part of the tracks that are not high-volume."""
        return self.held(), Amount(self._steady_items.read(), self._steady_bytes.read())

    def correct(self, total: Amount, steady: Amount) -> None:
        """Subtract what was counted in excess; negative amounts are added."""
        self._steady_bytes.add(-steady.size, STEP)
        self._steady_items.add(-steady.items, STEP)
        self._bytes.add(-total.size, STEP)
        self._items.add(-total.items, STEP)
