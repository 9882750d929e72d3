"""A request as a row of a table: with a checksum of its own, as SQLite notices few flipped bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from ..stored_request import DamagedRecord, StoredRequest, check_parts, decode_parts

_ROW_CHECKED = struct.Struct(">QQd")
#: Where an envelope has its checksum, which covers the body.
_ENVELOPE_CHECKSUM = slice(4, 8)
#: Rows in one statement, the most first. With those of each route they are fewer than the 128
#: statements that `sqlite3` keeps.
_LENGTHS = (32, *range(16, 0, -1))
_Read = TypeVar("_Read")


class DamagedSegment(Exception):
    """A file that can't be read, or whose content is damaged; the message says how."""


class Row(NamedTuple):
    """A request as it lies in a table.

    Args:
        total: bytes of this request and all before it in its table.
    """

    id: int
    received_at: float
    total: int
    checksum: int
    envelope: bytes
    body: bytes


def new_row(row: int, total: int, received_at: float, envelope: bytes, body: bytes) -> Row:
    checksum = row_checksum(row, total, received_at, envelope)
    return Row(row, received_at, total, checksum, envelope, body)


def row_checksum(row: int, total: int, received_at: float, envelope: bytes) -> int:
    fixed = _ROW_CHECKED.pack(row, total, received_at)
    return zlib.crc32(envelope[_ENVELOPE_CHECKSUM], zlib.crc32(fixed))


def request_of(row: Row) -> StoredRequest:
    """The request of a row; DamagedSegment if it is not as it was written."""
    return _read(row, decode_parts)


def check(row: Row) -> None:
    """DamagedSegment if a row is not as it was written; what is in it is not looked at."""
    _read(row, check_parts)


def _read(row: Row, read: Callable[[bytes, bytes], _Read]) -> _Read:
    try:
        if row_checksum(row.id, row.total, row.received_at, row.envelope) != row.checksum:
            raise DamagedSegment(f"row {row.id}: its checksum does not match")
        return read(row.envelope, row.body)
    except (DamagedRecord, TypeError, ValueError, struct.error) as error:
        raise DamagedSegment(f"row {row.id}: {error}") from None


def inserts(rows: Sequence[tuple[int, Row]]) -> Iterator[tuple[str, list[Any]]]:
    """Statements of several rows each, of few lengths, as SQLite keeps what it has compiled.

    Each gives up the interpreter's lock, and may wait for its turn to get it back.
    """
    by_table: dict[int, list[Row]] = {}
    for table, row in rows:
        by_table.setdefault(table, []).append(row)
    for table, left in by_table.items():
        place = 0
        while place < len(left):
            count = next(n for n in _LENGTHS if n <= len(left) - place)
            values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
            flat = [value for row in left[place : place + count] for value in row]
            yield f"INSERT INTO requests_{table} VALUES {values}", flat
            place += count
