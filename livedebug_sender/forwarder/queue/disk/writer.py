"""The thread that commits: all that was put while it was busy, in one transaction (group commit).

It waits only for clients that put with the last commit and so are about to put again, for at most
twice the time of a commit, and `MAX_GROUP_WAIT`. Requests that are done with are noted every
`SETTLE_AFTER` seconds: after a crash those delivered since are delivered again.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Sequence
from time import monotonic

from ..confirmation import Confirmation
from ..request_queue import (
    PutCallback,
    PutRefused,
    QueueFull,
    QueueUnavailable,
    shutting_down,
)
from ..stored_request import StoredRequest, encode_envelope
from .batch import Addition, Batch
from .row import Row, new_row
from .segment import Segment, TableSummary
from .segment_files import new_segment_path
from .settled import Settled, encode_settled
from .state import DiskState
from .waiting import Table

#: Bytes after which a segment is complete, unless the queue's bound is small.
SEGMENT_BYTES = 64 * 1024 * 1024
#: So many segments fit into the queue's bound at least.
_SEGMENTS = 8
#: A WAL as long as a segment, with less than this share of requests in it, is begun anew:
#: many small commits rewrite the same pages.
_DENSE = 0.25
#: Seconds after which what is done with is written down. With every commit, a second statement
#: and a longer WAL took a third more CPU at 8 clients.
SETTLE_AFTER = 0.05
#: Or that many.
_SETTLE_ITEMS = 5000
#: Seconds that a commit waits at most for those that put with the last one.
MAX_GROUP_WAIT = 0.002
#: Seconds between two looks at what the disk has left; in between its own writes are counted.
_MEASURE_EVERY = 0.1
#: Seconds after a failed commit until what is done with is tried again.
_AFTER_FAILURE = 2.0
#: Seconds after which an empty segment that nobody writes to goes.
IDLE = 10.0


class Writer:
    def __init__(self, state: DiskState) -> None:
        self._state = state
        self._segment_bytes = min(SEGMENT_BYTES, max(1, state.options.max_bytes // _SEGMENTS))
        self._segment: Segment | None = None
        self._tables: dict[str, Table] = {}
        self._measure_at = 0.0
        # Guarded by the state's lock.
        self._work = threading.Condition(state.lock)
        self._batch = Batch()
        self._pending = 0
        #: How many put at the same time as of the last commit, and the seconds of a commit.
        self._group = 0
        self._commit_seconds = 0.0
        self._settled: list[Settled] = []
        self._settle_at = float("inf")
        #: A request was refused for want of room since the last file was completed.
        self._room_is_wanted = False
        self._ending = False
        self._thread = threading.Thread(
            target=self._run, name="livedebug-queue-writer", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def put(self, request: StoredRequest, callback: PutCallback) -> None:
        """As `RequestQueue.put_async`."""
        if request.route not in self._state.wakeups:
            raise ValueError(f"the route is {request.route!r:.80}; this queue keeps no such")
        addition = Addition(request, request.size, encode_envelope(request))
        try:
            with self._state.lock:
                if self._state.closed:
                    raise shutting_down()
                try:
                    self._state.check_room(request, addition.size, self._pending)
                except QueueFull:
                    self._room_is_wanted = True
                    self._work.notify()
                    raise
                self._add([addition], (), callback)
        except PutRefused as refused:
            callback(refused)

    def write(
        self, additions: Sequence[Addition], settled: Sequence[Settled], timeout: float
    ) -> None:
        """Write down what lies elsewhere so far; PutRefused if that can't be done now."""
        if not additions and not settled:
            return
        confirmation = Confirmation()
        with self._state.lock:
            if self._ending:
                raise shutting_down()
            self._add(additions, settled, confirmation)
        confirmation.wait(timeout)

    def settle(self, settled: Sequence[Settled]) -> None:
        """Write down what is done with, soon. The state's lock is held."""
        if not settled:
            return
        if not self._settled:
            self._settle_at = self._state.clock() + SETTLE_AFTER
            self._work.notify()
        self._settled += settled
        if len(self._settled) == _SETTLE_ITEMS:
            self._settle_at = 0.0
            self._work.notify()

    def wake(self) -> None:
        """The active segment failed. The state's lock is held."""
        self._work.notify()

    def close(self, timeout: float) -> bool:
        """Commit what is pending, and end; False if that took too long."""
        with self._state.lock:
            self._ending = True
            self._work.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _add(
        self, additions: Sequence[Addition], settled: Sequence[Settled], callback: PutCallback
    ) -> None:
        batch = self._batch
        size = sum(addition.size for addition in additions)
        batch.additions += additions
        batch.settled += settled
        batch.bytes += size
        batch.callbacks.append(callback)
        self._pending += size
        # The first to come, and the last of the group.
        if len(batch.callbacks) in (1, self._group):
            self._work.notify()

    def _run(self) -> None:
        while True:
            with self._state.lock:
                idle_until = self._state.clock() + IDLE
                while not self._due() and not self._ending:
                    if self._state.active_is_damaged:
                        break
                    idle = self._room_is_wanted or self._state.clock() >= idle_until
                    if self._is_spent() and idle:
                        break
                    self._work.wait(self._seconds_to_wait(idle_until))
                self._wait_for_group()
                ending = self._ending
                batch, self._batch = self._batch, Batch()
                settled = self._settled_by_now()
            if self._state.active_is_damaged:
                self._complete()
            if batch.additions or batch.settled or settled:
                self._commit(batch, settled)
            else:
                self._complete()
            if ending:
                self._complete()
                return

    def _due(self) -> bool:
        batch = self._batch
        return bool(batch.additions or batch.settled) or self._state.clock() >= self._settle_at

    def _wait_for_group(self) -> None:
        """Wait for those that put with the last commit, as they will soon put again.

        Otherwise a few clients form two groups, each of which waits for the other's commit: 15 %
        fewer requests a second at 8 clients. A wait of a fixed time, before every commit, made it
        six times as slow.
        """
        until = monotonic() + min(MAX_GROUP_WAIT, 2 * self._commit_seconds)
        while 0 < len(self._batch.callbacks) < self._group and not self._ending:
            left = until - monotonic()
            if left <= 0:
                break
            self._work.wait(left)

    def _settled_by_now(self) -> list[Settled]:
        if not self._ending and self._state.clock() < self._settle_at:
            return []
        settled, self._settled = self._settled, []
        self._settle_at = float("inf")
        return settled

    def _is_spent(self) -> bool:
        """Is there an active segment of which nothing is left?"""
        return self._segment is not None and not self._state.waiting.items and not self._settled

    def _seconds_to_wait(self, idle_until: float) -> float | None:
        until = min(self._settle_at, idle_until if self._is_spent() else float("inf"))
        return None if until == float("inf") else max(0.0, until - self._state.clock())

    def _commit(self, batch: Batch, settled: list[Settled]) -> None:
        begun = monotonic()
        try:
            segment = self._segment or self._begin()
            rows = self._rows(batch.additions)
            known = self._state.files
            entries = [one for one in (*settled, *batch.settled) if one.segment in known]
            entries += [
                Settled(*one.moved_from, one.size) for one in batch.additions if one.moved_from
            ]
            segment.append(rows, [encode_settled(entries)] if entries else [])
        except Exception as error:  # ours as well: nobody may wait for it in vain
            self._failed(error, batch, settled)
            return
        grown = segment.grown()
        with self._state.lock:
            counts = self._state.counts
            counts.commits += 1
            seconds = monotonic() - begun
            counts.commit_seconds += seconds
            self._commit_seconds += (seconds - self._commit_seconds) / 8
            self._group = len(batch.callbacks) + len(self._batch.callbacks)
            self._state.refers[segment.number].update(one.segment for one in entries)
            self._enter(batch, rows)
            self._state.bytes += grown
            self._state.free -= grown
            self._pending -= batch.bytes
        batch.committed()
        if self._state.clock() >= self._measure_at:
            self._measure_at = self._state.clock() + _MEASURE_EVERY
            self._measure()
        if segment.wal_size >= self._segment_bytes:
            self._make_short(segment)

    def _begin(self) -> Segment:
        state = self._state
        segment = Segment.create(new_segment_path(state.folder.own.path), state.options.routes)
        with state.lock:
            state.add_file(segment, [TableSummary(route, 0, 0) for route in segment.routes])
            self._tables = {one.route: one for one in state.waiting.tables(segment.number)}
            state.active = segment.number
            self._segment = segment
        return segment

    def _rows(self, additions: list[Addition]) -> list[tuple[int, Row]]:
        ends = {route: (table.rows, table.total) for route, table in self._tables.items()}
        rows = []
        for one in additions:
            route = one.request.route
            last, total = ends[route]
            ends[route] = last + 1, total + one.size
            received_at = one.request.received_at
            row = new_row(last + 1, total + one.size, received_at, one.envelope, one.request.body)
            rows.append((self._tables[route].number, row))
        return rows

    def _enter(self, batch: Batch, rows: list[tuple[int, Row]]) -> None:
        """What is durable now may be taken."""
        waiting = self._state.waiting
        again = []
        for one, (_, row) in zip(batch.additions, rows, strict=True):
            table = self._tables[one.request.route]
            waiting.appended(table, row.id, one.size, None if one.moved_from else one.request)
            if one.moved_from:
                waiting.moved(one.moved_from, table, row.id)
                settled = Settled(table.segment, table.number, row.id, one.size)
                # It was done with while it was moved.
                known = one.moved_from[0] in self._state.files
                if not waiting.settled(Settled(*one.moved_from, one.size)) and known:
                    waiting.settled(settled)
                    again.append(settled)
            self._state.wakeups[one.request.route].put()
        self.settle(again)

    def _make_short(self, segment: Segment) -> None:
        """Complete a segment that is long enough, or begin its WAL anew."""
        stored = sum(table.total for table in self._tables.values())
        if stored >= self._segment_bytes * _DENSE or not self._state.waiting.live(segment.number):
            self._complete()
            return
        try:
            segment.checkpoint()
        except sqlite3.Error as error:
            self._state.notice("checkpoint", f"a checkpoint failed: {error}")
            self._complete()

    def _complete(self) -> None:
        """Write no more to the active segment."""
        with self._state.lock:
            self._state.active_is_damaged = False
            self._room_is_wanted = False
            if self._segment is not None:
                self._state.to_seal.append(self._segment.number)
                self._segment = None
                self._state.active = None
                self._state.chores.notify()

    def _measure(self) -> None:
        try:
            free = self._state.folder.free()
        except OSError as error:  # nothing is taken until the housekeeper learns it again
            free = 0
            self._state.notice("free", f"the free space can't be measured: {error}")
        with self._state.lock:
            self._state.free = free

    def _failed(self, error: Exception, batch: Batch, settled: list[Settled]) -> None:
        full = _is_full(error)
        kind, words = (
            (QueueFull, "the disk is full")
            if full
            else (QueueUnavailable, f"the disk fails: {error or type(error).__name__}")
        )
        segment = self._segment
        # What can't be written to for any other reason is not written to again: after a
        # failed sync nobody knows what is on the disk. And an empty one gives room.
        if segment is not None and (not full or not self._state.waiting.live(segment.number)):
            self._complete()
        self._measure()
        with self._state.lock:
            self._pending -= batch.bytes
            self._settled = settled + self._settled
            if self._settled:
                self._settle_at = self._state.clock() + _AFTER_FAILURE
            self._state.chores.notify()
        batch.refused(kind, words)
        self._state.notice("full" if full else "commit", words)


def _is_full(error: Exception) -> bool:
    if isinstance(error, sqlite3.Error):
        return "full" in str(error)
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
