"""The bounds of a sender, and how much it holds: items and bytes, over all its tracks.

Payloads that wait and payloads in flight both count. The counters are changed without a lock:
a thread that is interrupted between a counter and the queue may leave a payload counted that
is not queued. So they only serve the bounds; the accounts are in the ledgers.
"""

from __future__ import annotations

from typing import NamedTuple

from ..protocol.tracks import Track
from ..runtime.atomic import STEP, AtomicInteger

#: The tracks that come in floods, and what they together may use of either bound, so
#: that they never crowd out probe statuses and symbols.
FLOODS = (Track.SNAPSHOTS, Track.LOGS)
FLOOD_SHARE = 0.9


class Amount(NamedTuple):
    """How many payloads, and how many bytes they have."""

    items: int
    size: int


class QueueCapacity:
    """The bounds of one sender: of everything, and of what comes in floods.

    A payload is counted in before the bounds are checked, and before it is queued. If two are
    put at once and only one fits, both may be refused, but they are never both accepted.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.bound = Amount(max_items, max_bytes)
        # A bound of one item would leave a flood no room at all.
        flood_items = max(1, int(max_items * FLOOD_SHARE))
        self.flood_bound = Amount(flood_items, int(max_bytes * FLOOD_SHARE))
        self._items = AtomicInteger()
        self._bytes = AtomicInteger()
        # The part that does not come in floods. The rest is the floods': so a snapshot or log
        # changes two counters, and not four.
        self._steady_items = AtomicInteger()
        self._steady_bytes = AtomicInteger()
        #: Count in, as ``add_items(1, STEP)`` and ``add_bytes(size, STEP)``; each returns
        #: what is held in all. The bare calls, since a frame around them costs as much.
        self.add_items = self._items.add
        self.add_bytes = self._bytes.add

    def bound_of(self, *, flood: bool) -> Amount:
        return self.flood_bound if flood else self.bound

    def add_steady(self, size: int) -> None:
        """After `add_items` and `add_bytes`, for a payload that does not come in floods."""
        self._steady_items.add(1, STEP)
        self._steady_bytes.add(size, STEP)

    def release(self, items: int, size: int, *, flood: bool) -> None:
        """Count out, in such an order that the floods' part never seems smaller than it is."""
        if not flood:
            self._steady_bytes.add(-size, STEP)
            self._steady_items.add(-items, STEP)
        self._bytes.add(-size, STEP)
        self._items.add(-items, STEP)

    def exceeded(self, *, flood: bool) -> bool:
        """Whether more is counted in than the bound of such a track allows."""
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
        """Is half of either bound in use, so that lingering would risk drops?"""
        items, size = self.held()
        return items * 2 >= self.bound.items or size * 2 >= self.bound.size

    def counts(self) -> tuple[Amount, Amount]:
        """What is held in all, and the part of it that does not come in floods."""
        return self.held(), Amount(self._steady_items.read(), self._steady_bytes.read())

    def correct(self, total: Amount, steady: Amount) -> None:
        """Subtract what was counted in too much; negative amounts are added."""
        self._steady_bytes.add(-steady.size, STEP)
        self._steady_items.add(-steady.items, STEP)
        self._bytes.add(-total.size, STEP)
        self._items.add(-total.items, STEP)
