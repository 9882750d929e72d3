"""The queue on a disk; see the package for its parts."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from ..age import AgeClock
from ..confirmation import Confirmation
from ..request_queue import PutCallback, QueueOptions, QueueStats, Taken
from ..stored_request import StoredRequest
from .dead_letters import DeadLetters
from .folders import QueueFolder
from .housekeeper import Housekeeper
from .loading import load
from .row import DamagedSegment, request_of
from .segment import ClosedSegment, TableSummary, UnopenableSegment
from .state import DiskState
from .waiting import Lease
from .writer import Writer

#: Seconds until a request is tried again whose file can't be opened or read now.
UNOPENABLE_FOR = 1.0


class DiskQueue:
    """A `RequestQueue` in a folder.

    Args:
        clock: seconds, monotonic.
        ages: None: those of this machine's clock.

    Raises:
        ConfigError: the folder can't be made or used.
    """

    durable = True

    def __init__(
        self,
        folder: Path,
        options: QueueOptions,
        clock: Callable[[], float] = time.monotonic,
        ages: AgeClock | None = None,
    ) -> None:
        self._state = DiskState(options, QueueFolder(folder), clock, ages)
        ours = self._state.folder
        damaged = load(self._state, [*ours.adopted, ours.own])
        self._letters = DeadLetters(folder, options.max_dead_bytes)
        self._writer = Writer(self._state)
        self._housekeeper = Housekeeper(self._state, self._writer, self._letters)
        self._cleared = False
        self._state.measure()
        self._writer.start()
        self._housekeeper.start(damaged)

    def put(self, request: StoredRequest) -> None:
        confirmation = Confirmation()
        self.put_async(request, confirmation)
        confirmation.wait(self._state.options.put_timeout)

    def put_async(self, request: StoredRequest, callback: PutCallback) -> None:
        self._writer.put(request, callback)

    def take(self, route: str, timeout: float | None = None) -> Taken | None:
        until = None if timeout is None else self._state.clock() + timeout
        while True:
            lease = self._next(route, until)
            if lease is None:
                return None
            try:
                request = self._read(lease)
            except BaseException:  # ours, or no memory: it is not lost
                with self._state.lock:
                    self._state.waiting.release(lease, self._state.clock() + UNOPENABLE_FOR)
                raise
            if request is None:
                continue
            lease.size = request.size
            taken = Taken(request, lease, lease.redeliveries)
            if not self.is_too_old(taken):
                return taken
            with self._state.lock:
                self._state.counts.expired += self._settle(lease)

    def acknowledge(self, taken: Taken) -> None:
        with self._state.lock:
            self._settle(_lease(taken))

    def release(self, taken: Taken, delay: float = 0.0) -> None:
        state = self._state
        lease = _lease(taken)
        with state.lock:
            if state.waiting.release(lease, state.clock() + delay):
                state.wakeups[lease.table.route].look()

    def bury(self, taken: Taken, reason: str) -> None:
        lease = _lease(taken)
        with self._state.lock:
            if lease.taken:
                self._housekeeper.bury(lease, reason)

    def is_too_old(self, taken: Taken) -> bool:
        max_age = self._state.options.max_age
        return self._state.ages.is_older(taken.request.received_at, max_age)

    def stats(self) -> QueueStats:
        state = self._state
        with state.lock:
            firsts = [
                (state.files[table.segment], table.number, table.settled.first_gap())
                for table in state.waiting.first_rows()
                if table.segment in state.files
            ]
            counts = state.counts
            stats = {
                "items": state.waiting.items,
                "bytes": state.bytes,
                "limit": state.options.max_bytes,
                "fullness": state.fullness(),
                "free_disk": state.free,
                "commits": counts.commits,
                "commit_seconds": counts.commit_seconds,
                "redelivered": counts.redelivered,
                "expired": counts.expired,
                "dead": MappingProxyType(dict(counts.dead)),
                "dead_items": self._letters.items,
                "dead_bytes": self._letters.bytes,
                "set_aside": counts.set_aside,
                "errors": counts.errors,
            }
        times = []
        for segment, table, row in firsts:
            try:
                times.append(segment.received_at(table, row))
            except (DamagedSegment, ClosedSegment, UnopenableSegment):
                continue
        ages = [max(0.0, state.ages.age(one)) for one in times if one is not None]
        return QueueStats(oldest_age=max(ages, default=None), **stats)  # type: ignore[arg-type]

    def close(self, timeout: float) -> int:
        state = self._state
        until = time.monotonic() + timeout
        with state.lock:
            state.closed = True
            for wakeups in state.wakeups.values():
                wakeups.look_all()
        ended = self._housekeeper.close(timeout)
        ended = self._writer.close(max(0.1, until - time.monotonic())) and ended
        if ended and not self._cleared:  # else they still work with the files
            self._cleared = True
            self._clear_up()
        state.problems.report(final=True)
        return 0

    def _clear_up(self) -> None:
        """Close, and leave nothing on the disk but what waits."""
        state = self._state
        for number in state.waiting.segments():
            segment = state.files[number]
            # With nothing left in any, no note in any is of use.
            if not state.waiting.items:
                segment.abandon()
                continue
            try:
                if not segment.sealed:  # the next start then need not read all of it
                    tables = state.waiting.tables(number)
                    segment.seal([TableSummary(one.route, one.rows, one.total) for one in tables])
            except (sqlite3.Error, OSError, ClosedSegment) as error:
                state.notice("close", f"{segment.path.name} can't be sealed: {error}")
            finally:
                segment.close()
        state.folder.close()

    def _next(self, route: str, until: float | None) -> Lease | None:
        state = self._state
        wakeups = state.wakeups[route]
        with state.lock:
            while not state.closed:
                now = state.clock()
                lease = state.waiting.take(route, now)
                due = state.waiting.due(route)
                if lease is not None:
                    state.counts.redelivered += lease.redeliveries > 0
                    if due is not None:  # who else waits has to know
                        wakeups.look()
                    else:
                        wakeups.taken()
                    return lease
                if until is not None and now >= until:
                    return None
                ends = [end for end in (until, due) if end is not None]
                wakeups.wait(min(ends) - now if ends else None)
        return None

    def _read(self, lease: Lease) -> StoredRequest | None:
        """None if it can't be read; its file is then checked."""
        state = self._state
        while True:
            with state.lock:
                place = lease.place
                request = state.waiting.recent(lease)
                segment = state.files.get(place[0])
            if request is not None:
                return request
            try:
                if segment is None:
                    raise DamagedSegment("it is gone")
                return request_of(segment.row(*place[1:]))
            except (DamagedSegment, ClosedSegment) as error:
                with state.lock:
                    if lease.place == place:  # else it has moved
                        self._housekeeper.report_damage(lease, str(error))
                        return None
            except UnopenableSegment as error:
                state.notice("open", str(error))
                with state.lock:
                    state.waiting.release(lease, state.clock() + UNOPENABLE_FOR)
                return None

    def _settle(self, lease: Lease) -> bool:
        settled = self._state.waiting.settle(lease)
        if settled is None:
            return False
        self._writer.settle([settled])
        return True


def _lease(taken: Taken) -> Lease:
    assert isinstance(taken.handle, Lease)
    return taken.handle
