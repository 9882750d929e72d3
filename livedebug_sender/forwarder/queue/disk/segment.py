"""A segment: one file of the queue, a SQLite database.

It has a table for each route. Requests are the rows 1, 2, 3, ... in the order of their
arrival; no row is ever changed or deleted. SQLite detects few flipped bits, so each row has
a checksum. The database uses a WAL, because a commit is then one write and one sync, and
``synchronous=FULL``, because in other modes an acknowledged commit may be lost in a power
cut. The WAL is checkpointed when the segment is sealed: most segments are emptied and
removed before.

There is one connection for each file, with an exclusive lock: releases of SQLite before
3.51.3 may damage a WAL that two connections reset. A sealed file is opened as immutable, and
only while rows are read: there may be more files than a process may have open.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .row import DamagedSegment, Row, inserts
from .segment_files import number_of, remove_segment, size_of, sync_folder, wal_of
from .settled import Settled, decode_settled

VERSION = 1
PAGE = 16 * 1024
#: SQLite's application id, ``LDQS``; programs such as ``file`` show it.
APPLICATION = 0x4C445153


class ClosedSegment(Exception):
    """The segment was closed meanwhile: its requests were moved to another one."""


class UnopenableSegment(OSError):
    """It is there, and can't be opened now: too many files are open."""


class NewerSegment(Exception):
    """A file of a later release."""


@dataclass(frozen=True)
class TableSummary:
    route: str
    rows: int
    total: int


class Segment:
    """An open file. For any thread: a lock is held for each call."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, routes: Sequence[str], sealed: bool
    ) -> None:
        self.path = path
        self.number = number_of(path)
        self.routes = tuple(routes)
        #: Is it complete, and without a WAL?
        self.sealed = sealed
        # Guards: the connection, and the two after it. Held during a commit, so during a sync.
        self._lock = threading.Lock()
        #: None: closed, or sealed and at rest.
        self._connection: sqlite3.Connection | None = connection
        self._closed = False
        #: Was a row read since the last `rest`?
        self._read_from = False
        # As text: a commit looks at it, and a `Path` makes that several times as slow.
        self._wal = str(wal_of(path))
        self._database_size = size_of(path)
        self._size = 0
        #: Bytes of the WAL, when its growth was last looked at.
        self.wal_size = 0

    @classmethod
    def create(cls, path: Path, routes: Sequence[str]) -> Segment:
        """A new file; sqlite3.Error or OSError where there can be none."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = _connect(path)
        try:
            _set_up(connection)
            connection.execute(f"PRAGMA page_size={PAGE}")
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
            connection.execute("CREATE TABLE settled (id INTEGER PRIMARY KEY, entries BLOB)")
            for table in range(len(routes)):
                connection.execute(
                    f"CREATE TABLE requests_{table} (id INTEGER PRIMARY KEY, received_at REAL, "
                    "total INTEGER, checksum INTEGER, envelope BLOB, body BLOB)"
                )
            connection.execute("INSERT INTO meta VALUES ('routes', ?)", [json.dumps(routes)])
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            remove_segment(path)
            raise
        sync_folder(path.parent)
        return cls(path, connection, routes, sealed=False)

    @classmethod
    def open(cls, path: Path, *, unchanged: bool = False) -> Segment:
        """One from before, to read it.

        Args:
            unchanged: change nothing about the file; it must have no WAL.

        Raises:
            DamagedSegment: among others, if it was cut at its creation.
            NewerSegment
        """
        sealed = not wal_of(path).exists()
        connection = connect_sealed(path) if sealed else _connect(path)
        try:
            if not sealed:
                _set_up(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            if application == APPLICATION and version > VERSION:
                raise NewerSegment(f"version {version}; this release reads up to {VERSION}")
            found = dict(connection.execute("SELECT name, value FROM meta").fetchall())
            routes = [str(route) for route in json.loads(found["routes"])]
            if sealed and "summary" not in found and not unchanged:
                sealed = False
                connection.close()
                connection = _connect(path)
                _set_up(connection)
        except NewerSegment:
            connection.close()
            raise
        except (sqlite3.Error, KeyError, ValueError, TypeError) as error:
            connection.close()
            raise DamagedSegment(str(error)) from None
        return cls(path, connection, routes, sealed=sealed)

    def append(self, rows: Sequence[tuple[int, Row]], settled: Sequence[bytes]) -> None:
        """Commit rows, each with the number of its table, and encoded `Settled`, all or none.

        Raises:
            sqlite3.Error: nothing of it is in the file, as far as this process is concerned.
        """
        statements = list(inserts(rows))
        statements += [("INSERT INTO settled (entries) VALUES (?)", [one]) for one in settled]
        with self._lock:
            connection = self._open_connection()
            if len(statements) == 1:
                # It commits by itself. Each call gives up the interpreter's lock, and may wait
                # for its turn to get it back.
                connection.execute(*statements[0])
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, values in statements:
                    connection.execute(statement, values)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def row(self, table: int, row: int) -> Row:
        """DamagedSegment if it can't be read."""
        found = self._query(f"SELECT * FROM requests_{table} WHERE id = ?", row, stay_open=True)
        if not found:
            raise DamagedSegment(f"row {row} of {self.routes[table]} is not there")
        return Row(*found[0])

    def received_at(self, table: int, row: int) -> float | None:
        query = f"SELECT received_at FROM requests_{table} WHERE id = ?"
        found = self._query(query, row)
        return float(found[0][0]) if found else None

    def rows_before(self, table: int, received_before: float) -> list[tuple[int, int, float]]:
        """(row, total, received_at) of what came before a time."""
        query = f"SELECT id, total, received_at FROM requests_{table} WHERE received_at < ?"
        found = self._query(query, received_before)
        return [(int(row), int(total), float(received_at)) for row, total, received_at in found]

    def rows(self, table: int) -> Iterator[Row]:
        """All of them, unchecked; DamagedSegment where they can't be read."""
        last = 0
        query = f"SELECT * FROM requests_{table} WHERE id > ? ORDER BY id LIMIT 64"
        while found := self._query(query, last):
            yield from (Row(*one) for one in found)
            last = found[-1][0]

    def heads(self, table: int) -> Iterator[tuple[int, bytes, int]]:
        """Row, envelope and size of the body of all; DamagedSegment."""
        last = 0
        query = (
            f"SELECT id, envelope, length(body) FROM requests_{table} "
            "WHERE id > ? ORDER BY id LIMIT 1000"
        )
        while found := self._query(query, last):
            yield from found
            last = found[-1][0]

    def settled(self) -> Iterator[list[Settled] | None]:
        """What is written down here, None for what is damaged; DamagedSegment."""
        for (entries,) in self._query("SELECT entries FROM settled"):
            yield decode_settled(entries)

    def summary(self) -> list[TableSummary] | None:
        """What was written when it was sealed; None if it was not, or if it is damaged."""
        found = self._query("SELECT value FROM meta WHERE name = 'summary'")
        try:
            checksum, text = str(found[0][0]).split(" ", 1)
            if int(checksum) != zlib.crc32(text.encode()):
                return None
            return [TableSummary(*fields) for fields in json.loads(text)]
        except (IndexError, ValueError, TypeError):
            return None

    def seal(self, tables: Sequence[TableSummary]) -> None:
        """Write down how much is in it, and move it out of its WAL; sqlite3.Error or OSError.

        It stays readable if that fails.
        """
        text = json.dumps([[table.route, table.rows, table.total] for table in tables])
        with self._lock:
            connection = self._open_connection()
            value = f"{zlib.crc32(text.encode())} {text}"
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('summary', ?)", [value])
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError("the checkpoint is busy")
            # The last connection takes its WAL away.
            connection.close()
            self._connection = None
            self.sealed = True
            self._size = 0

    def committed_frames(self) -> int:
        """How many pages of the WAL belong to whole commits; DamagedSegment."""
        return int(self._query("PRAGMA wal_checkpoint(PASSIVE)")[0][1])

    def checkpoint(self) -> None:
        """Move what is in the WAL to the database, and begin the WAL anew; sqlite3.Error."""
        with self._lock:
            self._open_connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def size(self) -> int:
        """Bytes on the disk, the WAL included."""
        if self.sealed and self._size:
            return self._size
        self._database_size = size_of(self.path)
        self.wal_size = self._wal_size_now()
        self._size = self._database_size + self.wal_size
        return self._size

    def grown(self) -> int:
        """By how many bytes it grew since it was last asked for its size, by commits alone."""
        before = self._size
        self.wal_size = self._wal_size_now()
        self._size = self._database_size + self.wal_size
        return self._size - before

    def _wal_size_now(self) -> int:
        try:
            return os.stat(self._wal).st_size
        except OSError:
            return 0

    def rest(self) -> None:
        """Have a sealed file open no more, unless rows were read since the last call."""
        if not self.sealed:
            return
        with self._lock:
            if self._connection is not None and not self._read_from:
                self._connection.close()
                self._connection = None
            self._read_from = False

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def abandon(self) -> None:
        """Close and unlink."""
        # Unlinked first: a connection that is closed would move the WAL into the file.
        remove_segment(self.path)
        self.close()

    def _query(self, query: str, *values: float, stay_open: bool = False) -> list[Any]:
        with self._lock:
            rested = self.sealed and self._connection is None
            if rested:
                self._wake()
            connection = self._open_connection()
            self._read_from |= stay_open
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise DamagedSegment(str(error)) from None
            finally:
                if rested and not stay_open:
                    connection.close()
                    self._connection = None

    def _wake(self) -> None:
        if self._closed:
            return
        if not self.path.exists():
            raise DamagedSegment("it is gone")
        try:
            self._connection = connect_sealed(self.path)
        except sqlite3.Error as error:
            raise UnopenableSegment(f"{self.path.name}: {error}") from None

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ClosedSegment(self.path.name)
        return self._connection


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)


def _set_up(connection: sqlite3.Connection) -> None:
    # Before the WAL is first read: then its index is in memory, and in no file.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA cache_size=-2000")


def connect_sealed(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
