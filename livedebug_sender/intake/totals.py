"""Counts of what arrived, in total and over the last minutes."""

from __future__ import annotations

from collections import Counter, deque

from .records import RecordedRequest

#: The columns in the chart of the rate, and their width in seconds.
COLUMNS = 60
COLUMN_SECONDS = 2
#: Maximum names that are stored: services for the filter, other paths for the counts.
_MAX_NAMES = 200


class Totals:
    """Counts since the start, or since the store was cleared.

    Payloads are counted when they are accepted, since refused ones are sent again.

    Attributes:
        refused: requests without a 2xx response.
        other: requests to paths that are not the intake's, by path.
        forgotten: requests that are no longer stored.
        bytes: of all bodies, as they were received.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.refused = 0
        self.forgotten = 0
        self.bytes = 0
        self.other: Counter[str] = Counter()
        self.by_track: Counter[str] = Counter()
        self.services: dict[str, None] = {}
        self._columns: deque[tuple[int, Counter[str]]] = deque(maxlen=COLUMNS + 1)

    def count(self, request: RecordedRequest) -> None:
        self.requests += 1
        self.bytes += request.size
        column = self._column(int(request.at) // COLUMN_SECONDS)
        if not request.taken:
            self.refused += 1
            column["refused"] += request.count
            return
        tracks = Counter(str(summary.track) for summary in request.summaries)
        self.by_track += tracks
        column.update(tracks)
        for summary in request.summaries:
            if summary.service and len(self.services) < _MAX_NAMES:
                self.services[summary.service] = None

    def count_other(self, path: str) -> None:
        if path in self.other or len(self.other) < _MAX_NAMES:
            self.other[path] += 1
        else:
            self.other["(more)"] += 1

    def rate(self, now: float) -> list[dict[str, int]]:
        """Payloads in each of the last columns, by track or as refused; oldest first."""
        last = int(now) // COLUMN_SECONDS
        counts = dict(self._columns)
        return [dict(counts.get(n, {})) for n in range(last - COLUMNS + 1, last + 1)]

    def _column(self, number: int) -> Counter[str]:
        # After a clock was set back, counting continues in the newest column.
        if not self._columns or self._columns[-1][0] < number:
            self._columns.append((number, Counter()))
        return self._columns[-1][1]
