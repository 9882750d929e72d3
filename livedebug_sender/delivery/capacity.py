"""How much a sender may hold, and holds: items and bytes, over all its tracks.

What is waiting and what is being sent both count. Plain counters, changed without a lock:
what is between a counter and the queue when its thread is interrupted may stay counted.
So they bound, and the ledgers account.
"""

from __future__ import annotations

from typing import NamedTuple

from ..protocol.tracks import Track
from ..runtime.atomic import STEP, AtomicInteger

#: The tracks that come in floods, and what they together may use of either bound, so
#: that they never crowd out probe statuses and symbols.
FLOODS = (Track.SNAPSHOTS, Track.LOGS)
FLOOD_SHARE = 0.9


class Held(NamedTuple):
    """An amount of payloads."""

    items: int
    size: int


class QueueCapacity:
    """The bounds of one sender: of everything, and of what comes in floods.

    A payload is counted in before it is put and before the bounds are looked at: of two
    at once that would fit only singly, both may be turned away, but never both be let in.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.bound = Held(max_items, max_bytes)
        # A bound of one item would leave a flood no room at all.
        flood_items = max(1, int(max_items * FLOOD_SHARE))
        self.flood_bound = Held(flood_items, int(max_bytes * FLOOD_SHARE))
        self._items = AtomicInteger()
        self._bytes = AtomicInteger()
        # Of those, what does not come in floods, which is little: floods, which come often,
        # are counted once.
        self._steady_items = AtomicInteger()
        self._steady_bytes = AtomicInteger()
        #: Count in, as ``add_items(1, STEP)`` and ``add_bytes(size, STEP)``; each returns
        #: what is held in all. The bare calls, since a frame around them costs as much.
        self.add_items = self._items.add
        self.add_bytes = self._bytes.add

    def bound_of(self, *, flood: bool) -> Held:
        return self.flood_bound if flood else self.bound

    def add_steady(self, size: int) -> None:
        """After `add_items` and `add_bytes`, for a payload that does not come in floods."""
        self._steady_items.add(1, STEP)
        self._steady_bytes.add(size, STEP)

    def release(self, items: int, size: int, *, flood: bool) -> None:
        """Count out. In this order a flood never seems smaller than it is."""
        if not flood:
            self._steady_bytes.add(-size, STEP)
            self._steady_items.add(-items, STEP)
        self._bytes.add(-size, STEP)
        self._items.add(-items, STEP)

    def exceeded(self, *, flood: bool) -> bool:
        """Is more counted in than the bound of such a track allows?"""
        items, size = self.held()
        if items > self.bound.items or size > self.bound.size:
            return True
        return flood and (
            items - self._steady_items.read() > self.flood_bound.items
            or size - self._steady_bytes.read() > self.flood_bound.size
        )

    def held(self) -> Held:
        return Held(self._items.read(), self._bytes.read())

    def crowded(self) -> bool:
        """Is half of either bound in use, so that lingering would risk drops?"""
        items, size = self.held()
        return items * 2 >= self.bound.items or size * 2 >= self.bound.size

    def counts(self) -> tuple[Held, Held]:
        """What is held in all, and what of it does not come in floods."""
        return self.held(), Held(self._steady_items.read(), self._steady_bytes.read())

    def correct(self, total: Held, steady: Held) -> None:
        """Count out what is counted in too much (or in, what is missing)."""
        self._steady_bytes.add(-steady.size, STEP)
        self._steady_items.add(-steady.items, STEP)
        self._bytes.add(-total.size, STEP)
        self._items.add(-total.items, STEP)
