"""How much a sender may hold, and holds: items and bytes, over all its lanes.

What is waiting and what is being sent both count. Two numbers that change together
share one `AtomicInteger`: items in the upper bits, bytes in the lower ones, so that
`enqueue` makes room with one uninterruptible step.
"""

from __future__ import annotations

from .atomic import STEP, AtomicInteger
from .track import Track

_SHIFT = 36
_ITEM = 1 << _SHIFT
_BYTES = _ITEM - 1
# Beyond these no machine gets: 64 GiB, and 67 million payloads.
_MOST_BYTES = _BYTES // 2
_MOST_ITEMS = 1 << 26

#: The tracks that come in floods, and what they together may use of either bound, so
#: that they never crowd out probe statuses and symbols.
FLOODS = (Track.SNAPSHOTS, Track.LOGS)
FLOOD_SHARE = 0.9


class Held:
    """Items and bytes under one pair of bounds."""

    __slots__ = ("_add", "_read", "max_bytes", "max_items")

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.max_items = min(max_items, _MOST_ITEMS)
        self.max_bytes = min(max_bytes, _MOST_BYTES)
        number = AtomicInteger()
        self._add = number.add
        self._read = number.read

    def take(self, size: int) -> bool:
        """Count a payload in, unless that would pass a bound.

        Counted first and checked then: of two at once that would fit only singly,
        both may be turned away, but never both be let in.
        """
        held = self._add(_ITEM + size, STEP)
        if held >> _SHIFT > self.max_items or held & _BYTES > self.max_bytes:
            self._add(-_ITEM - size, STEP)
            return False
        return True

    def give_back(self, items: int, size: int) -> None:
        self._add(-items * _ITEM - size, STEP)

    def read(self) -> tuple[int, int]:
        """Items and bytes held now."""
        held = self._read()
        return held >> _SHIFT, held & _BYTES


class Room:
    """The bounds of one sender: of everything, and of what comes in floods."""

    __slots__ = ("_all", "_flood", "read")

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._all = Held(max_items, max_bytes)
        # A bound of one item would leave a flood no room at all.
        self._flood = Held(max(1, int(max_items * FLOOD_SHARE)), int(max_bytes * FLOOD_SHARE))
        self.read = self._all.read

    @property
    def max_items(self) -> int:
        return self._all.max_items

    @property
    def max_bytes(self) -> int:
        return self._all.max_bytes

    def largest(self, flood: bool) -> int:
        """Bytes of the largest payload that could ever fit."""
        return self._flood.max_bytes if flood else self._all.max_bytes

    def take(self, size: int, flood: bool) -> bool:
        if not flood:
            return self._all.take(size)
        if not self._flood.take(size):
            return False
        if not self._all.take(size):
            self._flood.give_back(1, size)
            return False
        return True

    def give_back(self, items: int, size: int, flood: bool) -> None:
        self._all.give_back(items, size)
        if flood:
            self._flood.give_back(items, size)

    def crowded(self) -> bool:
        """Is half of either bound in use, so that lingering would risk drops?"""
        items, size = self.read()
        return items * 2 >= self.max_items or size * 2 >= self.max_bytes
