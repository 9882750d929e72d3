"""How much came, in all and over the last minutes."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import Kept

#: The picture of the rate: so many columns of so many seconds.
COLUMNS = 60
COLUMN_SECONDS = 2


#: Names of services that are remembered, for the filter.
_MOST_SERVICES = 200


class Totals:
    """Counts since the start, or since the store was emptied.

    Payloads are counted where they were taken: those that were refused come again.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.refused = 0
        self.elsewhere = 0
        self.forgotten = 0
        self.bytes = 0
        self.by_track: Counter[str] = Counter()
        self.services: dict[str, None] = {}
        self._columns: deque[tuple[int, Counter[str]]] = deque(maxlen=COLUMNS + 1)

    def count(self, kept: Kept) -> None:
        self.requests += 1
        self.bytes += kept.size
        tracks = Counter(str(glance.track) for glance in kept.glances)
        column = self._column(int(kept.at) // COLUMN_SECONDS)
        if not kept.taken:
            self.refused += 1
            column["refused"] += max(1, len(kept.glances))
            return
        self.by_track += tracks
        column.update(tracks)
        for glance in kept.glances:
            if glance.service and len(self.services) < _MOST_SERVICES:
                self.services[glance.service] = None

    def rate(self, now: float) -> list[dict[str, int]]:
        """Payloads in each of the last columns by track, or refused; oldest first."""
        last = int(now) // COLUMN_SECONDS
        counts = dict(self._columns)
        return [dict(counts.get(n, {})) for n in range(last - COLUMNS + 1, last + 1)]

    def _column(self, number: int) -> Counter[str]:
        # A clock that was set back goes on in the newest column.
        if not self._columns or self._columns[-1][0] < number:
            self._columns.append((number, Counter()))
        return self._columns[-1][1]
