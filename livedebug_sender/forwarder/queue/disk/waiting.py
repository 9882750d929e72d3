"""What waits on the disk, and what of it is taken: in memory, and no I/O.

A few bytes a request at most (a bit for each that is done with): a million may wait.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..stored_request import StoredRequest
from .segment import TableSummary
from .settled import RowSet, Settled

Place = tuple[int, int, int]
#: In the line of a route: its table's order, and its row.
Position = tuple[float, int]
BEFORE_ALL: Position = (-math.inf, 0)


@dataclass(eq=False)
class Table:
    """The requests of one route in one segment.

    Args:
        segment, number: which it is.
        order: grows along the line of its route. The numbers of segments need not: another
            process's are put in front of the own, and the clock may have been set.
        rows, total: how many are durable, and their bytes.
        next_row: the first that was never taken from here.
        held: rows from `next_row` on that are taken all the same; they were moved here so.
    """

    segment: int
    number: int
    order: int
    route: str
    rows: int = 0
    total: int = 0
    settled: RowSet = field(default_factory=RowSet)
    settled_bytes: int = 0
    next_row: int = 1
    held: set[int] = field(default_factory=set)

    @property
    def live(self) -> int:
        return self.rows - self.settled.count

    @property
    def live_bytes(self) -> int:
        return self.total - self.settled_bytes


@dataclass(eq=False)
class Lease:
    """A request that is taken, or waits for its next time; where it lies may change."""

    table: Table
    row: int
    size: int = 0
    redeliveries: int = 0
    taken: bool = True

    @property
    def place(self) -> Place:
        return self.table.segment, self.table.number, self.row


class RouteLine:
    """A `wakeups.Line`."""

    def __init__(self, waiting: Waiting, route: str, clock: Callable[[], float]) -> None:
        self._waiting = waiting
        self._route = route
        self._clock = clock

    def first(self) -> Position | None:
        due = self._waiting.due(self._route)
        if due is not None and due <= self._clock():
            return BEFORE_ALL
        return self._waiting.first(self._route)

    def last(self) -> Position:
        return self._waiting.last(self._route)


class Waiting:
    """Not for two threads at once: its owner has the lock."""

    def __init__(self, max_recent_bytes: int) -> None:
        self._segments: dict[int, list[Table]] = {}
        self._by_route: dict[str, deque[Table]] = {}
        self._later: dict[str, list[tuple[float, int, Lease]]] = {}
        self._turns = itertools.count()
        self._newer = itertools.count(1)
        self._older = itertools.count(-1, -1)
        self._leases: dict[Place, Lease] = {}
        #: Requests just put, so that they need not be read when they are taken at once.
        self._recent: dict[Place, tuple[StoredRequest, int]] = {}
        self._recent_bytes = 0
        self._max_recent_bytes = max_recent_bytes
        self.items = 0

    def add_segment(
        self, number: int, tables: Sequence[TableSummary], *, older: bool = False
    ) -> list[Table]:
        """A segment with what is in it; `older` than all there are, if it is not to be written."""
        order = next(self._older if older else self._newer)
        added = [
            Table(number, n, order, one.route, one.rows, one.total) for n, one in enumerate(tables)
        ]
        self._segments[number] = added
        for table in added:
            self.items += table.rows
            line = self._by_route.setdefault(table.route, deque())
            line.appendleft(table) if older else line.append(table)
        return added

    def remove_segment(self, number: int) -> None:
        """With all that is left in it."""
        for table in self._segments.pop(number, []):
            self.items -= table.live
            # It may still be in the line of its route, which skips it.
            table.next_row = table.rows + 1
            for row in range(1, table.rows + 1 if table.live else 0):
                self._take_recent((number, table.number, row))

    def segments(self) -> list[int]:
        return list(self._segments)

    def tables(self, number: int) -> list[Table]:
        return self._segments.get(number, [])

    def live(self, number: int) -> int:
        return sum(table.live for table in self.tables(number))

    def appended(self, table: Table, row: int, size: int, request: StoredRequest | None) -> None:
        """A row is durable."""
        table.rows = row
        table.total += size
        self.items += 1
        if request is not None and self._recent_bytes + size <= self._max_recent_bytes:
            self._recent[table.segment, table.number, row] = request, size
            self._recent_bytes += size

    def take(self, route: str, now: float) -> Lease | None:
        """The next of a route: one whose time has come again, else the oldest."""
        later = self._later.get(route)
        if later and later[0][0] <= now:
            lease = heapq.heappop(later)[2]
            lease.taken = True
            lease.redeliveries += 1
            return lease
        line = self._by_route.get(route, deque())
        while line:
            table = line[0]
            while table.next_row <= table.rows:
                row = table.next_row
                table.next_row += 1
                if row in table.held:
                    table.held.remove(row)
                elif row not in table.settled:
                    lease = self._leases[table.segment, table.number, row] = Lease(table, row)
                    return lease
            if len(line) == 1:  # the active one's, which may grow
                return None
            line.popleft()
        return None

    def first(self, route: str) -> Position | None:
        """Of what was never taken, if there is anything."""
        for table in self._by_route.get(route, ()):
            if table.next_row <= table.rows:
                return table.order, table.next_row
        return None

    def last(self, route: str) -> Position:
        """Of what was appended last."""
        line = self._by_route.get(route)
        return (line[-1].order, line[-1].rows) if line else BEFORE_ALL

    def due(self, route: str) -> float | None:
        """When the first that was released may be taken; None: there is none."""
        later = self._later.get(route)
        return later[0][0] if later else None

    def recent(self, lease: Lease) -> StoredRequest | None:
        return self._take_recent(lease.place)

    def release(self, lease: Lease, due: float) -> bool:
        """False if it is not taken."""
        if not lease.taken:
            return False
        lease.taken = False
        later = self._later.setdefault(lease.table.route, [])
        heapq.heappush(later, (due, next(self._turns), lease))
        return True

    def settle(self, lease: Lease) -> Settled | None:
        """What is to be written down; None if it is not taken."""
        if not lease.taken or self._leases.pop(lease.place, None) is None:
            return None
        lease.taken = False
        settled = Settled(*lease.place, lease.size)
        self.settled(settled)
        return settled

    def settled(self, one: Settled) -> bool:
        """It is done with; False if that was known, or if there is no such request."""
        tables = self._segments.get(one.segment, [])
        if one.table >= len(tables):
            return False
        table = tables[one.table]
        if not 1 <= one.row <= table.rows or not table.settled.add(one.row):
            return False
        table.settled_bytes += one.size
        self.items -= 1
        return True

    def forget(self, lease: Lease) -> None:
        """It was taken, and can't be read."""
        lease.taken = False
        self._leases.pop(lease.place, None)

    def withhold(self, number: int) -> None:
        """Hand out nothing more of a segment."""
        for table in self.tables(number):
            table.next_row = table.rows + 1

    def is_free(self, table: Table, row: int) -> bool:
        """Is it neither done with nor leased?"""
        return row not in table.settled and (table.segment, table.number, row) not in self._leases

    def unsettled(self, number: int) -> Iterator[tuple[Table, int]]:
        for table in self.tables(number):
            for row in range(table.settled.first_gap(), table.rows + 1):
                if row not in table.settled:
                    yield table, row

    def moved(self, old: Place, table: Table, row: int) -> None:
        """A request lies elsewhere now; its lease goes with it."""
        lease = self._leases.pop(old, None)
        if lease is not None:
            lease.table, lease.row = table, row
            self._leases[lease.place] = lease
            table.held.add(row)

    def first_rows(self) -> Iterable[Table]:
        """Of each route the first table with something left, and the one last opened."""
        for line in self._lines().values():
            live = [table for table in line if table.live]
            yield from {id(table): table for table in (*live[:1], *live[-1:])}.values()

    def _lines(self) -> dict[str, list[Table]]:
        lines: dict[str, list[Table]] = {}
        for tables in self._segments.values():
            for table in tables:
                lines.setdefault(table.route, []).append(table)
        return lines

    def _take_recent(self, place: Place) -> StoredRequest | None:
        found = self._recent.pop(place, None)
        if found is None:
            return None
        self._recent_bytes -= found[1]
        return found[0]
