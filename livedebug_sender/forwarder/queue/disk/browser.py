"""Looking into the folder of a disk queue, whether or not a forwarder works with it.

A file that may still be written to is copied first, and the copy is read: nothing in the
folder is changed or locked by looking.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ....errors import ConfigError
from ..browsing import DEAD, WAITING, Entry, Finding, QueueInUse
from ..stored_request import DamagedRecord, StoredRequest, peek
from .dead_letters import letters_in, read_letter
from .folders import DEAD as DEAD_FOLDER
from .folders import LOCK, REQUEUED, holding_the_dead
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

    def __enter__(self) -> DiskBrowser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        shutil.rmtree(self._copies, ignore_errors=True)

    def entries(self, place: str) -> Iterator[Entry]:
        return self._waiting() if place == WAITING else self._dead()

    def read(self, name: str) -> StoredRequest:
        if name.count(".") != 2:
            try:
                return read_letter(self._letter(name)).request
            except (OSError, DamagedRecord) as error:
                raise KeyError(f"{name}: {error}") from None
        number, table, row = _parts(name)
        for path in self._segments():
            if path.name == f"{number:016x}{SUFFIX}":
                with self._opened(path) as segment:
                    try:
                        return request_of(segment.row(table, row))
                    except (DamagedSegment, IndexError) as error:
                        raise KeyError(f"{name}: {error}") from None
        raise KeyError(name)

    def requeue(self, names: Collection[str]) -> int:
        """A forwarder that works with the folder sends them within seconds, else the next."""
        moved = 0
        for name in names:
            with suppress(FileNotFoundError, KeyError):
                path = self._letter(name)
                path.rename(self._folder / REQUEUED / path.name)
                moved += 1
        return moved

    def drop(self, names: Collection[str]) -> int:
        waiting = {name for name in names if name.count(".") == 2}
        dropped = self._drop_waiting(waiting) if waiting else 0
        for name in set(names) - waiting:
            with suppress(FileNotFoundError, KeyError):
                self._letter(name).unlink()
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
                found = read_files(path).requests.values() if path.exists() else []
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

    def _dead(self) -> Iterator[Entry]:
        for path in letters_in(self._folder / DEAD_FOLDER):
            with suppress(DamagedRecord, OSError):
                letter = read_letter(path)
                request = letter.request
                yield Entry(
                    path.stem,
                    DEAD,
                    request.route,
                    request.request_id,
                    request.received_at,
                    len(request.body),
                    letter.reason,
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
        paths = []
        for path in sorted(self._folder.glob(f"*/*{SUFFIX}"), key=lambda path: path.name):
            with suppress(ValueError):
                number_of(path)
                paths += [path] if is_plain(path) else []
        return paths

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Segment]:
        if not wal_of(path).exists():
            segment = Segment.open(path, unchanged=True)
        else:
            segment = Segment.open(self._copied(path))
        try:
            yield segment
        finally:
            segment.close()

    def _copied(self, path: Path) -> Path:
        """A copy with its WAL, as they were at one moment."""
        copy = self._copies / path.name
        for _ in range(_TRIES):
            before = _stamp(path)
            shutil.copyfile(path, copy)
            with suppress(FileNotFoundError):
                shutil.copyfile(wal_of(path), wal_of(copy))
            # What is appended to the WAL meanwhile does no harm; a checkpoint would.
            if _stamp(path) == before:
                break
        return copy

    def _letter(self, name: str) -> Path:
        path = self._folder / DEAD_FOLDER / f"{name}.letter"
        if path.parent != self._folder / DEAD_FOLDER or not path.is_file():
            raise KeyError(name)
        return path


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _parts(name: str) -> tuple[int, int, int]:
    try:
        number, table, row = name.split(".")
        return int(number, 16), int(table), int(row)
    except ValueError:
        raise KeyError(name) from None
