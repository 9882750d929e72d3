"""Looking into the folder of a disk queue, whether or not a forwarder works with it.

A file that may still be written to is copied first, and the copy is read: nothing in the
folder is changed or locked by looking.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ....errors import ConfigError
from ..browsing import DEAD, WAITING, Entry, Finding, QueueInUse
from ..stored_request import DamagedRecord, StoredRequest, peek
from .dead_letters import SUFFIX as LETTER_SUFFIX
from .dead_letters import letters_in, read_letter
from .folders import DEAD as DEAD_FOLDER
from .folders import LOCK, REQUEUED, SET_ASIDE, holding_the_dead, process_folders
from .loading import read_all, read_files
from .row import DamagedSegment, request_of
from .segment import NewerSegment, Segment
from .segment_files import SUFFIX, is_plain, new_segment_path, number_of, wal_of
from .settled import Settled, encode_settled

#: How often a file is copied again that was changed meanwhile.
_TRIES = 5
#: What `verify` tells, and nothing else stops for.
_UNREADABLE = (DamagedSegment, DamagedRecord, NewerSegment, OSError, sqlite3.Error)

Done = dict[tuple[int, int], set[int]]


class DiskBrowser:
    """A `QueueBrowser`.

    A name is, of what waits, the number of its file, of its table and of its row
    (``66…f.2.17``); of a dead letter that of its file.

    Raises:
        ConfigError: the folder is not there, or not that of a queue.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / LOCK).is_file():
            raise ConfigError(
                f"{str(folder)!r:.200} is not the folder of a queue; expected: what follows "
                "disk: in the forwarder's --queue"
            )
        self._folder = folder
        self._copies = Path(tempfile.mkdtemp(prefix="livedebug-queue-"))
        #: What was read from last, and is still open.
        self._last: tuple[Path, Segment] | None = None

    def __enter__(self) -> DiskBrowser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._keep(None)
        shutil.rmtree(self._copies, ignore_errors=True)

    def entries(self, place: str) -> Iterator[Entry]:
        if place == DEAD:
            yield from self._letters(DEAD, [self._folder / DEAD_FOLDER])
            return
        yield from self._waiting()
        yield from self._letters(WAITING, self._letter_folders()[1:])

    def read(self, name: str) -> StoredRequest:
        if name.count(".") != 2:
            try:
                return read_letter(self._letter(name, self._letter_folders())).request
            except (OSError, DamagedRecord) as error:
                raise KeyError(f"{name}: {error}") from None
        number, table, row = _parts(name)
        for path in self._segments():
            if path.name == f"{number:016x}{SUFFIX}":
                try:
                    return self._read_row(path, table, row)
                except (*_UNREADABLE, IndexError) as error:
                    raise KeyError(f"{name}: {error}") from None
        raise KeyError(name)

    def requeue(self, names: Collection[str]) -> int:
        """A forwarder that works with the folder sends them within seconds, else the next."""
        moved = 0
        for name in names:
            with suppress(FileNotFoundError, KeyError):
                path = self._letter(name, [self._folder / DEAD_FOLDER])
                path.rename(self._folder / REQUEUED / path.name)
                moved += 1
        return moved

    def drop(self, names: Collection[str]) -> int:
        waiting = {name for name in names if name.count(".") == 2}
        dropped = self._drop_waiting(waiting) if waiting else 0
        for name in set(names) - waiting:
            with suppress(FileNotFoundError, KeyError):
                self._letter(name, self._letter_folders()).unlink()
                dropped += 1
        return dropped

    def verify(self) -> Iterator[Finding]:
        for path in self._segments():
            part = str(path.relative_to(self._folder))
            try:
                with self._opened(path) as segment:
                    tables = read_all(segment)
                    notes = [found for found in segment.settled() if found is None]
                rows, size = sum(t.rows for t in tables), sum(t.total for t in tables)
                problem = f"{len(notes)} notes of what was delivered are damaged" if notes else ""
                yield Finding(part, rows, size, problem)
            except NewerSegment as error:
                yield Finding(part, 0, 0, str(error))
            except (DamagedSegment, OSError, sqlite3.Error) as error:
                with suppress(FileNotFoundError):  # all of it was delivered meanwhile
                    found = read_files(path).requests.values()
                    size = sum(request.size for request in found)
                    yield Finding(part, len(found), size, f"damaged: {error}")
        rows = size = 0
        damaged = []
        for path in letters_in(self._folder / DEAD_FOLDER):
            try:
                size += read_letter(path).request.size
                rows += 1
            except (DamagedRecord, OSError) as error:
                damaged.append(f"{path.name}: {error}")
        yield Finding(DEAD_FOLDER, rows, size, "; ".join(damaged[:5]))
        aside = sorted(path for path in (self._folder / SET_ASIDE).glob("*") if path.is_file())
        if aside:
            words = (
                f"damaged files ({aside[0].name} is the first of {len(aside)}): what can be read "
                "of them was sent on; delete them once you have looked at them"
            )
            yield Finding(SET_ASIDE, 0, sum(path.stat().st_size for path in aside), words)

    def _read_row(self, path: Path, table: int, row: int) -> StoredRequest:
        """From what is open from the last call, if it is there: rows do not change, and a copy
        takes a while."""
        if self._last and self._last[0] == path:
            with suppress(DamagedSegment, IndexError):
                return request_of(self._last[1].row(table, row))
        segment = self._open(path)
        self._keep((path, segment))
        return request_of(segment.row(table, row))

    def _keep(self, last: tuple[Path, Segment] | None) -> None:
        if self._last:
            self._last[1].close()
        self._last = last

    def _waiting(self) -> Iterator[Entry]:
        done = self._done()
        for path in self._segments():
            with suppress(*_UNREADABLE), self._opened(path) as segment:
                for table in range(len(segment.routes)):
                    settled = done[segment.number, table]
                    for row, envelope, size in segment.heads(table):
                        if row not in settled:
                            route, request_id, received_at = peek(envelope)
                            name = f"{segment.number:x}.{table}.{row}"
                            yield Entry(name, WAITING, route, request_id, received_at, size)

    def _letter_folders(self) -> list[Path]:
        """Those of the dead letters, and of those that are to be sent again."""
        shared = [self._folder / name for name in (DEAD_FOLDER, REQUEUED)]
        return [*shared, *process_folders(self._folder)]

    def _letters(self, place: str, folders: Sequence[Path]) -> Iterator[Entry]:
        for path in [path for folder in folders for path in letters_in(folder)]:
            with suppress(DamagedRecord, OSError):
                letter = read_letter(path)
                request = letter.request
                yield Entry(
                    path.stem,
                    place,
                    request.route,
                    request.request_id,
                    request.received_at,
                    len(request.body),
                    letter.reason if place == DEAD else "",
                )

    def _drop_waiting(self, names: Collection[str]) -> int:
        with holding_the_dead(self._folder) as folders:
            held = {folder.path for folder in folders}
            if any(path.parent not in held for path in self._segments()):
                raise QueueInUse(
                    f"a forwarder works with {self._folder}: stop it first; dead letters can "
                    "be dropped at any time"
                )
            known = {entry.name: entry for entry in self._waiting() if entry.name in names}
            if known:
                notes = [Settled(*_parts(name), entry.size) for name, entry in known.items()]
                segment = Segment.create(new_segment_path(folders[0].path), [])
                segment.append([], [encode_settled(notes)])
                segment.seal([])
                segment.close()
            return len(known)

    def _done(self) -> Done:
        """What is done with, by segment and table."""
        done: Done = defaultdict(set)
        for path in self._segments():
            with suppress(*_UNREADABLE), self._opened(path) as segment:
                for found in segment.settled():
                    for one in found or ():
                        done[one.segment, one.table].add(one.row)
        return done

    def _segments(self) -> list[Path]:
        return sorted(
            (path for folder in process_folders(self._folder) for path in _segments_in(folder)),
            key=lambda path: path.name,
        )

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Segment]:
        segment = self._open(path)
        try:
            yield segment
        finally:
            segment.close()

    def _open(self, path: Path) -> Segment:
        if not wal_of(path).exists():
            return Segment.open(path, unchanged=True)
        copy = self._copied(path)
        segment = Segment.open(copy)
        shutil.rmtree(copy.parent)  # it is open
        return segment

    def _copied(self, path: Path) -> Path:
        """A copy with its WAL, as they were at one moment."""
        copy = Path(tempfile.mkdtemp(dir=self._copies)) / path.name
        for _ in range(_TRIES):
            before = _stamp(path)
            shutil.copyfile(path, copy)
            with suppress(FileNotFoundError):
                shutil.copyfile(wal_of(path), wal_of(copy))
            # What is appended to the WAL meanwhile does no harm; a checkpoint would.
            if _stamp(path) == before:
                break
        return copy

    def _letter(self, name: str, folders: Sequence[Path]) -> Path:
        for folder in folders:
            path = folder / f"{name}{LETTER_SUFFIX}"
            if path.parent == folder and path.is_file():
                return path
        raise KeyError(name)


def _segments_in(folder: Path) -> Iterator[Path]:
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(ValueError):
            number_of(path)
            if is_plain(path):
                yield path


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _parts(name: str) -> tuple[int, int, int]:
    try:
        number, table, row = name.split(".")
        return int(number, 16), int(table), int(row)
    except ValueError:
        raise KeyError(name) from None
