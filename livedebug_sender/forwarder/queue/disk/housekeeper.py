"""The thread for slow work, so that no commit waits for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace

from ..request_queue import PutRefused
from ..stored_request import DamagedRecord, StoredRequest, encode_envelope
from .batch import Addition
from .dead_letters import DeadLetters, waiting_letters
from .loading import Damage, load
from .moving import NO_ROUTE, TIMEOUT, Mover
from .row import DamagedSegment, request_of
from .segment import ClosedSegment, TableSummary
from .settled import Settled
from .state import DiskState
from .waiting import Lease
from .writer import Writer

#: Seconds between two rounds, if nothing calls for one before.
ROUND = 2.0
#: Seconds between two looks for what is too old.
EXPIRE_EVERY = 15.0
#: Seconds between two looks for folders whose process has ended since.
ADOPT_EVERY = 5.0
#: Letters that are written with one sync of their folder.
_LETTERS_AT_ONCE = 64


class Housekeeper:
    def __init__(self, state: DiskState, writer: Writer, letters: DeadLetters) -> None:
        self._state = state
        self._writer = writer
        self._letters = letters
        self._mover = Mover(state, writer, letters)
        self._chores: list[Callable[[], None]] = [
            self._adopt,
            self._seal,
            self._retire,
            self._bury,
            self._salvage,
            self._requeue,
            self._expire,
            self._compact,
            self._rest,
            state.measure,
            letters.count,
        ]
        self._expire_at = 0.0
        self._adopt_at = state.clock() + ADOPT_EVERY
        # Guarded by the state's lock.
        self._to_bury: list[tuple[Lease, str]] = []
        self._damaged: list[Damage] = []
        self._ending = False
        self._thread = threading.Thread(
            target=self._run, name="livedebug-queue-housekeeper", daemon=True
        )

    def start(self, damaged: list[Damage]) -> None:
        self._damaged = damaged
        self._thread.start()

    def bury(self, lease: Lease, reason: str) -> None:
        """Make a dead letter of it, soon. The state's lock is held."""
        self._to_bury.append((lease, reason))
        if len(self._to_bury) == 1:
            self._state.chores.notify()

    def report_damage(self, lease: Lease, problem: str) -> None:
        """A row can't be read: have its file checked. The state's lock is held."""
        state = self._state
        segment = state.files.get(lease.table.segment)
        state.waiting.forget(lease)
        if segment is None:
            return
        state.waiting.withhold(segment.number)
        if segment.number == state.active:
            state.active_is_damaged = True
            self._writer.wake()
        if any(damage.number == segment.number for damage in self._damaged):
            return
        self._damaged.append(Damage(segment.path, segment.number, problem, segment.routes))
        state.chores.notify()

    def close(self, timeout: float) -> bool:
        """Bury what is to be buried, and end; False if that took too long."""
        with self._state.lock:
            self._ending = True
            self._state.chores.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        begun = False
        while True:
            with self._state.lock:
                idle = begun and not self._state.to_seal and not self._to_bury
                if idle and not self._ending:
                    self._state.chores.wait(ROUND)
                ending = self._ending
            begun = True
            steps = [self._bury] if ending else self._chores
            failed = False
            for step in steps:
                try:
                    step()
                except (OSError, sqlite3.Error, PutRefused) as error:
                    failed = True
                    self._state.notice(step.__name__, f"housekeeping: {error}")
                except (ClosedSegment, DamagedSegment) as error:
                    self._state.notice(step.__name__, f"housekeeping: {error}")
                except Exception as error:  # ours: the rest goes on
                    failed = True
                    self._state.notice(step.__name__, f"housekeeping: {type(error).__name__}")
            if ending:
                return
            if failed:
                with self._state.lock:
                    self._state.chores.wait(ROUND)

    def _adopt(self) -> None:
        """A process that is told to end may take its time, while its successor is here already."""
        if self._state.clock() < self._adopt_at:
            return
        self._adopt_at = self._state.clock() + ADOPT_EVERY
        self._state.folder.leave_empty()
        damaged = load(self._state, self._state.folder.adopt())
        with self._state.lock:
            self._damaged += damaged

    def _seal(self) -> None:
        state = self._state
        while True:
            with state.lock:
                if not state.to_seal:
                    return
                number = state.to_seal.pop()
                segment = state.files.get(number)
                tables = [
                    TableSummary(table.route, table.rows, table.total)
                    for table in state.waiting.tables(number)
                ]
                live = state.waiting.live(number)
            if segment is not None and live:
                segment.seal(tables)

    def _retire(self) -> None:
        """Unlink the segments of which nothing is left."""
        state = self._state
        with state.lock:
            empty = [
                number
                for number in state.waiting.segments()
                if number != state.active and not state.waiting.live(number)
            ]
        for number in empty:
            self.retire(number)

    def retire(self, number: int) -> None:
        state = self._state
        with state.lock:
            segment = state.files[number]
            needed = {one for one in state.refers[number] if one != number and one in state.files}
            needed -= {one for one in needed if not state.waiting.live(one)}
        if needed:
            notes = [
                note
                for found in segment.settled()
                for note in found or ()
                if note.segment in needed
            ]
            try:
                self._writer.write((), notes, TIMEOUT)
            except PutRefused:  # a full disk: room first, what is known can wait in memory
                with state.lock:
                    self._writer.settle(notes)
        with state.lock:
            state.waiting.remove_segment(number)
            del state.files[number], state.refers[number]
        segment.abandon()

    def _bury(self) -> None:
        state = self._state
        while True:
            with state.lock:
                burying = self._to_bury[:_LETTERS_AT_ONCE]
            if not burying:
                return
            letters = []
            for lease, reason in burying:
                request = self._read(lease)
                if request is not None:
                    letters.append((request, reason))
            self._letters.bury(letters)
            with state.lock:
                settled: list[Settled] = []
                for lease, reason in burying:
                    one = state.waiting.settle(lease)
                    if one is not None:
                        settled.append(one)
                        state.counts.dead[reason] += 1
                self._writer.settle(settled)
                del self._to_bury[: len(burying)]

    def _read(self, lease: Lease) -> StoredRequest | None:
        with self._state.lock:
            _, table, row = lease.place
            segment = self._state.files.get(lease.table.segment)
        if segment is None:
            return None
        try:
            return request_of(segment.row(table, row))
        except DamagedSegment:
            return None

    def _salvage(self) -> None:
        for damage in list(self._damaged):
            if damage.number != self._state.active:  # else the writer is about to leave it
                self._mover.salvage(damage)
                with self._state.lock:
                    self._damaged.remove(damage)

    def _requeue(self) -> None:
        """Send again the dead letters that were requeued."""
        state = self._state
        own = state.folder.own.path
        self._letters.claim_requeued(own)
        for folder in [own, *(folder.path for folder in state.folder.adopted)]:
            for path, request in waiting_letters(folder):
                if isinstance(request, DamagedRecord):
                    aside = state.folder.set_aside(path)
                    state.counts.set_aside += 1
                    state.notice(path.name, f"a letter is damaged ({request}): kept as {aside}")
                    continue
                if request.route not in state.wakeups:
                    self._letters.bury([(request, NO_ROUTE)])
                else:
                    again = replace(request, received_at=state.ages.wall())
                    addition = Addition(again, again.size, encode_envelope(again))
                    self._writer.write([addition], (), TIMEOUT)
                path.unlink(missing_ok=True)

    def _expire(self) -> None:
        state = self._state
        if state.clock() < self._expire_at:
            return
        self._expire_at = state.clock() + EXPIRE_EVERY
        max_age = state.options.max_age
        with state.lock:
            tables = [
                (table, table.settled.first_gap())
                for number in state.waiting.segments()
                for table in state.waiting.tables(number)
                if table.live
            ]
        for table, first in tables:
            segment = state.files.get(table.segment)
            received_at = segment.received_at(table.number, first) if segment else None
            if segment is None or received_at is None:
                continue
            if not state.ages.is_older(received_at, max_age):
                continue
            rows = segment.rows_before(table.number, state.ages.wall() - max_age)
            totals = {0: 0, **{row: total for row, total, _ in rows}}
            old = [
                Settled(table.segment, table.number, row, total - totals.get(row - 1, total))
                for row, total, received_at in rows
                if state.ages.is_older(received_at, max_age)
            ]
            with state.lock:
                expired = [one for one in old if state.waiting.is_free(table, one.row)]
                state.counts.expired += sum(map(state.waiting.settled, expired))
                self._writer.settle(expired)

    def _rest(self) -> None:
        with self._state.lock:
            files = list(self._state.files.values())
        for segment in files:
            segment.rest()

    def _compact(self) -> None:
        self._mover.compact(self._state.clock())
