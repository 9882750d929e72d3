"""Moving requests to the active segment: from damaged files, and from nearly empty ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..stored_request import StoredRequest, encode_envelope
from .batch import Addition
from .dead_letters import DeadLetters
from .loading import Damage, read_files
from .row import DamagedSegment, request_of
from .segment import ClosedSegment, Segment
from .state import DiskState
from .waiting import Place
from .writer import Writer

#: Bytes that are moved with one commit.
_CHUNK = 8 * 1024 * 1024
_CHUNK_ITEMS = 500
#: Seconds for a commit.
TIMEOUT = 60.0
#: Seconds in which nothing of a segment was done with, until what is left is moved...
STILL_FOR = 60.0
#: ...if it is less than this share.
_SPARSE = 0.5
#: Why a request is dead that came by a route that is not served any more.
NO_ROUTE = "route not served"


class Mover:
    """For the housekeeper's thread."""

    def __init__(self, state: DiskState, writer: Writer, letters: DeadLetters) -> None:
        self._state = state
        self._writer = writer
        self._letters = letters
        #: By segment: how many were left, and since when.
        self._still: dict[int, tuple[int, float]] = {}

    def salvage(self, damage: Damage) -> None:
        """Send on what can be read of a damaged file, then set it aside.

        Raises:
            PutRefused, OSError: not now; it may be called again.
        """
        state = self._state
        with state.lock:
            segment = state.files.get(damage.number)
            indexed = segment is not None and segment.path == damage.path
        if damage.found is None:
            damage.found = read_files(damage.path)
        left = [
            (key, request)
            for key, request in sorted(damage.found.requests.items())
            if key not in damage.settled
        ]
        with state.lock:
            expected = state.waiting.live(damage.number) if indexed else None
        for chunk in _chunks(self._additions(damage, left)):
            self._writer.write(chunk, (), TIMEOUT)
            damage.moved += len(chunk)
        with state.lock:
            notes = [one for one in damage.found.settled if one.segment in state.files]
            if indexed:
                state.waiting.remove_segment(damage.number)
                state.files.pop(damage.number, None)
                state.refers.pop(damage.number, None)
        if notes:
            self._writer.write((), notes, TIMEOUT)
        if indexed and segment is not None:
            segment.close()
        path = state.folder.set_aside(damage.path)
        state.counts.set_aside += 1
        lost = "" if expected is None else f", {max(0, expected - damage.moved)} can't"
        state.notice(
            f"damaged {damage.path.name}",
            f"{damage.path.name} is damaged ({damage.problem}): {damage.moved} of its requests "
            f"can be read and are delivered{lost}; it is kept as {path}",
        )

    def _additions(
        self, damage: Damage, left: list[tuple[tuple[str, int], StoredRequest]]
    ) -> Iterator[Addition]:
        numbers = {route: n for n, route in enumerate(damage.routes)}
        for (route, row), request in left:
            place = damage.number, numbers.get(route, 0), row
            with self._state.lock:
                free = not self._is_done(place)
            if free and route not in self._state.wakeups:
                self._letters.bury([(request, NO_ROUTE)])
            elif free:
                yield Addition(request, request.size, encode_envelope(request), place)
            damage.settled.add((route, row))

    def _is_done(self, place: Place) -> bool:
        tables = self._state.waiting.tables(place[0])
        return place[1] < len(tables) and place[2] in tables[place[1]].settled

    def compact(self, now: float) -> None:
        """Move what has been left for long in segments that are mostly done with."""
        state = self._state
        for number in state.waiting.segments():
            with state.lock:
                tables = state.waiting.tables(number)
                live = state.waiting.live(number)
                sparse = sum(table.live_bytes for table in tables) < _SPARSE * sum(
                    table.total for table in tables
                )
                served = all(table.route in state.wakeups for table in tables if table.live)
                segment = state.files.get(number)
            before, since = self._still.get(number, (-1, now))
            if before != live:
                self._still[number] = live, now
                continue
            due = now - since >= STILL_FOR and state.free > state.options.min_free
            if due and sparse and served and live and segment and number != state.active:
                for chunk in _chunks(self._left_in(segment)):
                    self._writer.write(chunk, (), TIMEOUT)
                del self._still[number]
        self._still = {n: still for n, still in self._still.items() if n in state.files}

    def _left_in(self, segment: Segment) -> Iterator[Addition]:
        with self._state.lock:
            places = list(self._state.waiting.unsettled(segment.number))
        for table, row in places:
            try:
                request = request_of(segment.row(table.number, row))
            except (DamagedSegment, ClosedSegment):
                continue  # it is left where it is, for who takes it
            place = segment.number, table.number, row
            yield Addition(request, request.size, encode_envelope(request), place)


def _chunks(additions: Iterable[Addition]) -> Iterator[list[Addition]]:
    chunk: list[Addition] = []
    size = 0
    for addition in additions:
        chunk.append(addition)
        size += addition.size
        if size >= _CHUNK or len(chunk) >= _CHUNK_ITEMS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
