"""Splits a stored request into records of a size that the brokers accept, and joins them.

A request that fits is one record: its binary format (`stored_request`). A larger one is
several records in one partition, each with the header `PIECE_HEADER`, big-endian: the id of the
set (16 bytes), the number of the piece, from 0, and the number of pieces (4 bytes each), the
time of arrival (a double, seconds since 1970) and the route (UTF-8, to the end).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..stored_request import StoredRequest, encode_envelope

PIECE_HEADER = "livedebug-piece"
#: The header with the reason of a dead letter.
REASON_HEADER = "livedebug-reason"
#: Bytes for the key, the headers and Kafka's own fields of a record and its batch.
OVERHEAD = 2048
#: Bytes of a piece; below the default limits of brokers (1,048,588) and clients (1,000,000).
MAX_VALUE = 900_000

_PIECE = struct.Struct(">16sIId")
#: Maximum number of pieces; no body has that many, so a header with more is invalid.
_MAX_PIECES = 1 << 20

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Record:
    """A record for a producer."""

    key: bytes | None
    value: bytes = field(repr=False)
    headers: Headers


def value_limit(max_message_bytes: int) -> int:
    """The maximum bytes of a record's value in a topic with this limit."""
    return min(MAX_VALUE, max_message_bytes - OVERHEAD)


def records_of(request: StoredRequest, limit: int, reason: str = "") -> list[Record]:
    """The records of a request.

    Args:
        limit: maximum bytes of a record's value.
        reason: the reason of a dead letter.
    """
    key = request.request_id.encode("utf-8", "replace")[:256]
    return _split(encode_envelope(request), request.body, limit, key, request, reason)


def raw_records(value: bytes, limit: int, key: bytes | None, reason: str = "") -> list[Record]:
    """The records of a damaged request, unchanged."""
    return _split(value, b"", limit, key, None, reason)


def _split(
    envelope: bytes,
    body: bytes,
    limit: int,
    key: bytes | None,
    request: StoredRequest | None,
    reason: str,
) -> list[Record]:
    """Split a request; the body is passed separately, so that it is copied only once."""
    more: Headers = [(REASON_HEADER, reason.encode()[:256])] if reason else []
    size = len(envelope) + len(body)
    if size <= limit:
        return [Record(key, b"".join((envelope, body)), more)]
    set_id = uuid.uuid4().bytes
    total = -(-size // limit)
    at, route = (request.received_at, request.route.encode()) if request else (0.0, b"")
    return [
        Record(key, value, [(PIECE_HEADER, _PIECE.pack(set_id, number, total, at) + route), *more])
        for number, value in enumerate(_cut(envelope, body, limit))
    ]


def _cut(envelope: bytes, body: bytes, limit: int) -> Iterator[bytes]:
    whole = memoryview(body)
    head = memoryview(envelope)
    while head:
        part = head[:limit]
        room = limit - len(part)
        yield b"".join((part, whole[:room]))
        head, whole = head[limit:], whole[room:]
    while whole:
        yield bytes(whole[:limit])
        whole = whole[limit:]


@dataclass(frozen=True)
class Piece:
    """The set of pieces that a record belongs to, and its number."""

    set_id: bytes
    number: int
    total: int
    received_at: float
    route: str


def piece_of(headers: Iterable[tuple[str, bytes]] | None) -> Piece | None:
    """The piece that a record is; None: it is a complete request.

    Raises:
        ValueError: the header is invalid.
    """
    value = header(headers, PIECE_HEADER)
    if value is None:
        return None
    if len(value) < _PIECE.size:
        raise ValueError(f"{PIECE_HEADER} has {len(value)} bytes, expected {_PIECE.size} or more")
    route = value[_PIECE.size :].decode("utf-8", "replace")
    set_id, number, total, received_at = _PIECE.unpack_from(value)
    piece = Piece(set_id, number, total, received_at, route)
    if not piece.number < piece.total <= _MAX_PIECES:
        raise ValueError(f"{PIECE_HEADER} says piece {piece.number} of {piece.total}")
    return piece


def header(headers: Iterable[tuple[str, bytes]] | None, name: str) -> bytes | None:
    """The last header of that name, as in Kafka's own clients."""
    found = None
    for key, value in headers or ():
        if key == name:
            found = value
    return found


class PieceSet:
    """The pieces of one request that were read so far.

    Args:
        first: the piece that was read first.

    Attributes:
        offsets: their offsets, by number; a piece written twice is used once.
        since: when the first was read.
        end: if known, no piece of it is at this offset or later.
        size: bytes of the pieces.
    """

    def __init__(self, first: Piece, since: float) -> None:
        self.first = first
        self.since = since
        self.end: int | None = None
        self.size = 0
        self.offsets: dict[int, int] = {}
        self._duplicates: list[int] = []
        self._values: dict[int, bytes] | None = {}

    def add(self, piece: Piece, offset: int, value: bytes) -> None:
        if piece.total != self.first.total or piece.number in self.offsets:
            self._duplicates.append(offset)
            return
        self.offsets[piece.number] = offset
        self.size += len(value)
        if self._values is not None:
            self._values[piece.number] = value

    @property
    def complete(self) -> bool:
        return len(self.offsets) == self.first.total

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return 0 if self._values is None else self.size

    def forget_values(self) -> None:
        """Drop the values, and keep the offsets."""
        self._values = None

    def join(self) -> bytes | None:
        """The joined value, once complete; None: it must be read again."""
        if self._values is None:
            return None
        return b"".join(self._values[number] for number in range(self.first.total))

    def all_offsets(self) -> list[int]:
        """All offsets in order, including those of duplicate pieces."""
        return sorted([*self.offsets.values(), *self._duplicates])


def put_together(found: Iterable[tuple[bytes, Piece | None]]) -> bytes | None:
    """The value of one request from all its records; None: some are missing."""
    pieces: PieceSet | None = None
    for number, (value, piece) in enumerate(found):
        if piece is None:
            return value
        pieces = pieces or PieceSet(piece, 0.0)
        pieces.add(piece, number, value)
    return pieces.join() if pieces is not None and pieces.complete else None
