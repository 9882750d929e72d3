"""Dead letters: rejected requests, one file for each: a line of JSON, then the request.

They are files, and not in a database, so that they can be read, requeued and deleted while a
forwarder works with the queue: each of these is one rename or unlink.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..stored_request import DamagedRecord, StoredRequest, decode, encode_envelope
from .folders import DEAD, REQUEUED
from .segment_files import sync_folder

SUFFIX = ".letter"
#: How many are kept at most, however small they are.
MAX_LETTERS = 10_000
#: Seconds between two counts of the files, which other processes write and remove, too.
_RECOUNT = 30.0
#: The suffix of a file until it is completely written.
_UNFINISHED = ".new"
_ABANDONED_AFTER = 3600.0
_numbers = itertools.count()


@dataclass(frozen=True)
class DeadLetter:
    reason: str
    buried_at: float
    request: StoredRequest


class DeadLetters:
    """Those of one folder; for one thread."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._dead = folder / DEAD
        self._requeued = folder / REQUEUED
        self._max_bytes = max_bytes
        self._counted_at = float("-inf")
        self.items = 0
        self.bytes = 0

    def bury(self, letters: list[tuple[StoredRequest, str]]) -> None:
        """Keep them, durably; OSError if that can't be."""
        write_letters(self._dead, letters)
        self._make_room()

    def claim_requeued(self, folder: Path) -> None:
        """Move what is to be sent again into a process's own folder."""
        for path in sorted(self._requeued.glob(f"*{SUFFIX}")):
            with suppress(OSError):  # another process was faster
                path.rename(folder / path.name)

    def count(self) -> None:
        """Count again, if it is time."""
        if time.monotonic() - self._counted_at >= _RECOUNT:
            self._make_room()

    def _make_room(self) -> None:
        """The oldest go first."""
        self._counted_at = time.monotonic()
        for path in self._dead.glob(f"*{_UNFINISHED}"):  # of a process that died
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                    path.unlink()
        sizes = []
        for path in letters_in(self._dead):
            with suppress(OSError):
                sizes.append((path, path.stat().st_size))
        self.items, self.bytes = len(sizes), sum(size for _, size in sizes)
        for path, size in sizes:
            if self.bytes <= self._max_bytes and self.items <= MAX_LETTERS:
                break
            path.unlink(missing_ok=True)
            self.items -= 1
            self.bytes -= size


def write_letters(folder: Path, letters: Iterable[tuple[StoredRequest, str]]) -> None:
    """Write requests, each with a reason, durably; OSError."""
    written = []
    for request, reason in letters:
        name = f"{time.time_ns():016x}-{os.getpid()}-{next(_numbers)}{SUFFIX}"
        head = json.dumps({"reason": reason, "buried_at": time.time()}).encode() + b"\n"
        written.append((folder / f"{name}{_UNFINISHED}", folder / name))
        write_synced(written[-1][0], head, encode_envelope(request), request.body)
    for temporary, final in written:
        temporary.rename(final)
    sync_folder(folder)


def letters_in(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_letter(path: Path) -> DeadLetter:
    """DamagedRecord for one that can't be read; OSError for one that is gone."""
    # Neither follows a link that somebody put there, nor waits at a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        head, _, encoded = file.read().partition(b"\n")
    try:
        fields = json.loads(head)
        reason, buried_at = str(fields["reason"]), float(fields["buried_at"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamagedRecord("its first line can't be read") from None
    return DeadLetter(reason, buried_at, decode(encoded))


def waiting_letters(folder: Path) -> Iterator[tuple[Path, StoredRequest | DamagedRecord]]:
    """What is to be sent again."""
    for path in letters_in(folder):
        try:
            yield path, read_letter(path).request
        except DamagedRecord as error:
            yield path, error
        except OSError:
            continue


def write_synced(path: Path, *pieces: bytes) -> None:
    """A new file, on the disk before this returns; OSError, and no file then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
