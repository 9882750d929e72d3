"""Reads what is readable in the bytes of a damaged segment: pure.

SQLite finds rows through a tree of pages, and stops at a damaged page. Here every page is
read independently: a leaf page of a table lists its rows, and the checksum of a row shows
whether it is intact (SQLite's file format: https://sqlite.org/fileformat2.html,
1.6 for b-tree pages, 2.1 for records, 4 for the WAL). SQLite's own ``.recover`` is in its
shell, and not in Python's ``sqlite3``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..stored_request import StoredRequest
from .row import DamagedSegment, Row, request_of
from .segment import PAGE
from .settled import Settled, decode_settled

_LEAF_OF_TABLE = 0x0D
_DATABASE_HEADER = 100
_WAL_HEADER = 32
_FRAME_HEADER = 24
_INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


@dataclass
class Salvaged:
    """The readable content of a segment.

    Args:
        requests: by route and row.
        settled: its records of requests, in any segment, that are settled.
    """

    requests: dict[tuple[str, int], StoredRequest] = field(default_factory=dict)
    settled: list[Settled] = field(default_factory=list)


def salvage(database: bytes, wal: bytes) -> Salvaged:
    """All whole rows of the pages of a database and of its WAL."""
    pages = _Pages(database, wal)
    found = Salvaged()
    for leaf in pages.leaves():
        for row_id, values in leaf:
            _keep(found, row_id, values)
    return found


def frames_in(wal_size: int) -> int:
    """How many pages a WAL of that size has."""
    return max(0, wal_size - _WAL_HEADER) // (_FRAME_HEADER + PAGE)


def _keep(found: Salvaged, row_id: int, values: list[Any]) -> None:
    if len(values) == 2 and isinstance(values[1], bytes):
        found.settled += decode_settled(values[1]) or ()
    elif len(values) == 6:
        try:
            _, received_at, total, checksum, envelope, body = values
            row = Row(row_id, float(received_at), total, checksum, envelope, body)
            request = request_of(row)
        except (DamagedSegment, TypeError, ValueError):
            return
        found.requests.setdefault((request.route, row_id), request)


class _Pages:
    """The pages of a database, by number, with those of the WAL over them."""

    def __init__(self, database: bytes, wal: bytes) -> None:
        self._database = memoryview(database)
        self._newest: dict[int, memoryview] = {}
        #: Any version may be torn: each is looked at.
        self._versions: list[memoryview] = []
        frame = _FRAME_HEADER + PAGE
        # Past the first damaged frame, where SQLite stops, too: a row vouches for itself.
        for start in range(_WAL_HEADER, len(wal) - frame + 1, frame):
            number = int.from_bytes(wal[start : start + 4], "big")
            page = memoryview(wal)[start + _FRAME_HEADER : start + frame]
            self._newest[number] = page
            self._versions.append(page)

    def leaves(self) -> Iterator[Iterator[tuple[int, list[Any]]]]:
        for page in self._versions:
            yield self._rows(page, 0)
        for start in range(0, len(self._database), PAGE):
            page = self._database[start : start + PAGE]
            # The first page begins with the header of the database.
            yield self._rows(page, 0 if start else _DATABASE_HEADER)

    def _rows(self, page: memoryview, offset: int) -> Iterator[tuple[int, list[Any]]]:
        if len(page) < offset + 8 or page[offset] != _LEAF_OF_TABLE:
            return
        (cells,) = struct.unpack_from(">H", page, offset + 3)
        for n in range(min(cells, PAGE // 4)):
            try:
                (start,) = struct.unpack_from(">H", page, offset + 8 + 2 * n)
                size, start = _varint(page, start)
                row_id, start = _varint(page, start)
                yield row_id, _record(self._payload(page, start, size))
            except (IndexError, struct.error, ValueError):
                continue  # the others may be whole

    def _payload(self, page: memoryview, start: int, size: int) -> memoryview:
        """With what did not fit into the leaf, from its chain of overflow pages."""
        local = _local_size(size)
        if local == size:
            return _slice(page, start, size)
        pieces = [_slice(page, start, local)]
        left = size - local
        if left > len(self._database) + PAGE * len(self._versions):
            raise ValueError("longer than all there is")
        (following,) = struct.unpack_from(">I", page, start + local)
        while left > 0:
            overflow = self._page(following)
            piece = _slice(overflow, 4, min(left, PAGE - 4))
            pieces.append(piece)
            left -= len(piece)
            (following,) = struct.unpack_from(">I", overflow)
        return memoryview(b"".join(pieces))

    def _page(self, number: int) -> memoryview:
        newest = self._newest.get(number)
        start = (number - 1) * PAGE
        if newest is not None:
            return newest
        if number < 1 or start >= len(self._database):
            raise ValueError("no such page")
        return self._database[start : start + PAGE]


def _local_size(size: int) -> int:
    """Bytes of a payload in the leaf itself."""
    max_local = PAGE - 35
    if size <= max_local:
        return size
    least = (PAGE - 12) * 32 // 255 - 23
    fitting = least + (size - least) % (PAGE - 4)
    return fitting if fitting <= max_local else least


def _record(payload: memoryview) -> list[Any]:
    header_size, place = _varint(payload, 0)
    values: list[Any] = []
    data = header_size
    while place < header_size:
        kind, place = _varint(payload, place)
        if kind in _INTEGER_SIZES:
            size = _INTEGER_SIZES[kind]
            values.append(int.from_bytes(_slice(payload, data, size), "big", signed=True))
        elif kind == 7:
            size = 8
            values.append(struct.unpack_from(">d", payload, data)[0])
        elif kind >= 12:
            size = (kind - 12) // 2
            values.append(bytes(_slice(payload, data, size)))
        else:
            size = 0
            values.append({8: 0, 9: 1}.get(kind))
        data += size
        if len(values) > 6:
            raise ValueError("no row of ours")
    return values


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and where it ends."""
    value = 0
    for n in range(9):
        byte = data[place + n]
        if n == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, place + n + 1


def _slice(data: memoryview, start: int, size: int) -> memoryview:
    if size < 0 or start + size > len(data):
        raise ValueError("beyond the end")
    return data[start : start + size]
