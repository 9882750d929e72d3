"""How much a sender may hold, and holds: items and bytes, over all its lanes.

What is waiting and what is being sent both count. Items and bytes change together, so
they share one integer: bytes in the lower bits, items in the upper ones. Above each is
a spare bit. Adding what is missing from a bound to the highest number that fits sets
the spare bit exactly if the bound is passed: one addition tells for both.
"""

from __future__ import annotations

from ..protocol.tracks import Track
from ..runtime.atomic import STEP, AtomicInteger

_BYTES_BITS = 35
_ITEMS_BITS = 26
_SHIFT = _BYTES_BITS + 1
#: One item, to be counted in together with its bytes.
ITEM = 1 << _SHIFT
_BYTES = ITEM - 1
#: The two spare bits.
PASSED = 1 << _BYTES_BITS | 1 << _SHIFT + _ITEMS_BITS
# Beyond these no machine gets: 16 GiB, and 33 million payloads.
_MOST_BYTES = 1 << _BYTES_BITS - 1
_MOST_ITEMS = 1 << _ITEMS_BITS - 1

#: The tracks that come in floods, and what they together may use of either bound, so
#: that they never crowd out probe statuses and symbols.
FLOODS = (Track.SNAPSHOTS, Track.LOGS)
FLOOD_SHARE = 0.9


def headroom(items: int, size: int) -> int:
    """What sets a spare bit when added to a number of more than so many items or bytes."""
    return ((1 << _ITEMS_BITS) - 1 - items) * ITEM + (1 << _BYTES_BITS) - 1 - size


class Room:
    """The bounds of one sender: of everything, and of what comes in floods."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.max_items = min(max_items, _MOST_ITEMS)
        self.max_bytes = min(max_bytes, _MOST_BYTES)
        #: What is held: of all that comes in floods (True), and of the rest.
        self.counters = {flood: AtomicInteger() for flood in (False, True)}
        #: The bounds, as the headroom that is passed when they are.
        self.of_all = headroom(self.max_items, self.max_bytes)
        # A bound of one item would leave a flood no room at all.
        flood_items = max(1, int(self.max_items * FLOOD_SHARE))
        self.of_floods = headroom(flood_items, self.largest(True))

    def largest(self, flood: bool) -> int:
        """Bytes of the largest payload that could ever fit."""
        return int(self.max_bytes * FLOOD_SHARE) if flood else self.max_bytes

    def full(self) -> bool:
        """Is more counted in than a bound allows?"""
        of_floods = self.counters[True].read() + self.of_floods
        return (self.held() + self.of_all | of_floods) & PASSED != 0

    def give_back(self, items: int, size: int, flood: bool) -> None:
        self.counters[flood].add(-items * ITEM - size, STEP)

    def held(self) -> int:
        """Items and bytes held now, to be compared with a `headroom`."""
        return self.counters[True].read() + self.counters[False].read()

    def read(self) -> tuple[int, int]:
        """Items and bytes held now."""
        held = self.held()
        return held >> _SHIFT, held & _BYTES

    def crowded(self) -> bool:
        """Is half of either bound in use, so that lingering would risk drops?"""
        items, size = self.read()
        return items * 2 >= self.max_items or size * 2 >= self.max_bytes
