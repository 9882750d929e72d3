"""Loading what earlier processes left on the disk. Nothing there makes a start fail."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .dead_letters import write_letters, write_synced
from .folders import LockedFolder
from .row import DamagedSegment, check
from .salvage import Salvaged, frames_in, salvage
from .segment import NewerSegment, Segment, TableSummary
from .segment_files import SUFFIX, is_plain, number_of, remove_segment, wal_of
from .settled import Settled
from .state import DiskState


@dataclass
class Damage:
    """A damaged file, to be salvaged.

    Args:
        routes: of its tables, as far as that is known.
        settled: (route, row) of what is done with.
    """

    path: Path
    number: int
    problem: str
    routes: tuple[str, ...]
    settled: set[tuple[str, int]] = field(default_factory=set)
    found: Salvaged | None = None
    moved: int = 0


class Loaded(NamedTuple):
    segment: Segment
    tables: list[TableSummary]
    notes: list[Settled]


def load(state: DiskState, folders: Sequence[LockedFolder]) -> list[Damage]:
    """Open what these folders hold; what is damaged is given back."""
    damaged: list[Damage] = []
    found: list[Loaded] = []
    notes: list[Settled] = []
    for folder in folders:
        for path in folder.path.glob(f"*{SUFFIX}-wal"):
            if not path.with_name(path.name.removesuffix("-wal")).exists():
                path.unlink(missing_ok=True)  # what unlinking its database left
        for path in folder.segments():
            if not is_plain(path):
                state.notice(f"no file {path.name}", f"{path.name} is left alone: it is no file")
                continue
            # Read before it is opened: SQLite throws away what it takes for its end.
            wal = _read_wal(path)
            try:
                loaded = _load_one(state, path, wal)
                found += [loaded] if loaded else []
            except NewerSegment as error:
                state.notice(f"newer {path.name}", f"{path.name} is left alone: {error}")
            except (DamagedSegment, OSError, sqlite3.Error) as error:
                damage = _damage(state, path, wal, str(error))
                notes += damage.found.settled if damage.found else ()
                damaged.append(damage)
    _enter(state, found, notes, damaged)
    return damaged


def _enter(
    state: DiskState, found: list[Loaded], notes: list[Settled], damaged: list[Damage]
) -> None:
    with state.lock:
        # The oldest is put in last, in front of the others.
        for loaded in sorted(found, key=lambda one: one.segment.number, reverse=True):
            state.add_file(loaded.segment, loaded.tables, older=True)
            state.refers[loaded.segment.number] = {note.segment for note in loaded.notes}
            notes = notes + loaded.notes
        by_number = defaultdict(list)
        for damage in damaged:
            by_number[damage.number].append(damage)
        for note in notes:
            state.waiting.settled(note)
            for damage in by_number.get(note.segment, ()):
                if note.table < len(damage.routes):
                    damage.settled.add((damage.routes[note.table], note.row))
        for wakeups in state.wakeups.values():
            wakeups.look_all()


def read_files(path: Path) -> Salvaged:
    """What is whole in a segment's files."""
    return salvage(path.read_bytes(), _read_wal(path))


def _read_wal(path: Path) -> bytes:
    try:
        return wal_of(path).read_bytes()
    except OSError:
        return b""


def _load_one(state: DiskState, path: Path, wal: bytes) -> Loaded | None:
    try:
        number = number_of(path)
    except ValueError:
        raise DamagedSegment("its name is none of a segment") from None
    if number in state.files:
        raise DamagedSegment("there is another one of its number")
    if not path.stat().st_size and not wal_of(path).exists():
        remove_segment(path)  # cut at its creation: nothing was promised yet
        return None
    segment = Segment.open(path)
    try:
        tables = segment.summary() if segment.sealed else None
        if segment.sealed and tables is None:
            raise DamagedSegment("its summary is damaged")
        notes: list[Settled] = []
        if tables is None:
            tables = read_all(segment)
            try:
                notes += _beyond_the_commits(state, segment, tables, wal)
                segment.seal(tables)
            except (sqlite3.Error, OSError) as error:  # a full disk: it is read as it is
                state.notice("seal", f"{path.name} can't be sealed: {error}")
        for found in segment.settled():
            if found is None:
                state.notice("notes", f"{path.name}: a note of what was delivered is damaged")
            notes += found or ()
        segment.rest()
    except BaseException:
        segment.close()
        raise
    return Loaded(segment, tables, notes)


def _beyond_the_commits(
    state: DiskState, segment: Segment, tables: list[TableSummary], wal: bytes
) -> list[Settled]:
    """Save what is in the WAL behind its last whole commit, before that is thrown away.

    A commit that was cut is never missed by anybody. But where a bit of a page is flipped
    SQLite takes that for the end as well, and what comes after was promised.
    """
    try:
        if frames_in(len(wal)) <= segment.committed_frames():
            return []
    except DamagedSegment:  # a full disk: it can't be counted, but read
        pass
    rows = {table.route: table.rows for table in tables}
    found = salvage(segment.path.read_bytes(), wal)
    beyond = [
        (request, "behind a damaged page")
        for (route, row), request in sorted(found.requests.items())
        if row > rows.get(route, 0)
    ]
    if beyond:
        write_letters(state.folder.own.path, beyond)
        words = f"{segment.path.name} ends in the middle: {len(beyond)} more could be read"
        state.notice("beyond", words)
    return found.settled


def read_all(segment: Segment) -> list[TableSummary]:
    """Read and check every row; DamagedSegment for the first that is not as it was."""
    summaries = []
    for table, route in enumerate(segment.routes):
        rows = total = 0
        for row in segment.rows(table):
            if row.id != rows + 1:
                raise DamagedSegment(f"row {rows + 1} of {route} is not there")
            check(row)
            rows, total = row.id, row.total
        summaries.append(TableSummary(route, rows, total))
    return summaries


def _damage(state: DiskState, path: Path, wal: bytes, problem: str) -> Damage:
    try:
        if wal and not wal_of(path).exists():  # so that it is there until all of it is moved
            write_synced(wal_of(path), wal)
        found = salvage(path.read_bytes(), wal)
    except OSError as error:
        found, problem = Salvaged(), f"{problem}; {error.strerror}"
    try:
        number = number_of(path)
    except ValueError:
        number = 0
    # In the order of its tables: it was written by a release with these routes, or its
    # notes about them are lost.
    return Damage(path, number, problem, state.options.routes, found=found)
