"""A stored request in records of a size that the brokers take, and back: pure.

A request that fits is one record: its binary form (`stored_request`). A larger one is
several, in one partition, each with the header `PIECE_HEADER`, big-endian: the id of the set
(16 bytes), the number of the piece, from 0, how many there are (4 bytes each), the time of
arrival (a double, seconds since 1970) and the route (UTF-8, to the end).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..stored_request import StoredRequest, encode_envelope

PIECE_HEADER = "livedebug-piece"
#: Why it is a dead letter.
REASON_HEADER = "livedebug-reason"
#: For the key, the headers and Kafka's own fields of a record and its batch.
OVERHEAD = 2048
#: Of a piece; below the brokers' default limit of 1,048,588 and the clients' of 1,000,000.
MAX_VALUE = 900_000

_PIECE = struct.Struct(">16sIId")
#: No body has so many pieces; a larger number in a header is not ours.
_MAX_PIECES = 1 << 20

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Record:
    """What is handed to a producer."""

    key: bytes | None
    value: bytes = field(repr=False)
    headers: Headers


def value_limit(max_message_bytes: int) -> int:
    """Bytes of a record's value in a topic with this limit."""
    return min(MAX_VALUE, max_message_bytes - OVERHEAD)


def records_of(request: StoredRequest, limit: int, reason: str = "") -> list[Record]:
    """The records of a request.

    Args:
        limit: bytes of a record's value.
        reason: of a dead letter.
    """
    key = request.request_id.encode("utf-8", "replace")[:256]
    return _split(encode_envelope(request), request.body, limit, key, request, reason)


def raw_records(value: bytes, limit: int, key: bytes | None, reason: str = "") -> list[Record]:
    """The records of what is no request of ours, as it came."""
    return _split(value, b"", limit, key, None, reason)


def _split(
    envelope: bytes,
    body: bytes,
    limit: int,
    key: bytes | None,
    request: StoredRequest | None,
    reason: str,
) -> list[Record]:
    """The body comes apart from its envelope so that it is copied once."""
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
    """Which piece of which set a record is."""

    set_id: bytes
    number: int
    total: int
    received_at: float
    route: str


def piece_of(headers: Iterable[tuple[str, bytes]] | None) -> Piece | None:
    """None: the record is a whole request.

    Raises:
        ValueError: a header that is none of ours.
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
        offsets: where they are, by number; a piece written twice is taken once.
        since: when the first was read.
        end: once known, nothing of it comes at this offset or later.
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
        """Keep only where they are."""
        self._values = None

    def join(self) -> bytes | None:
        """The whole, once complete; None: it has to be read again."""
        if self._values is None:
            return None
        return b"".join(self._values[number] for number in range(self.first.total))

    def all_offsets(self) -> list[int]:
        """In order, those of pieces that came twice too."""
        return sorted([*self.offsets.values(), *self._duplicates])


def put_together(found: Iterable[tuple[bytes, Piece | None]]) -> bytes | None:
    """The value of one request, of all its records; None: some are missing."""
    pieces: PieceSet | None = None
    for number, (value, piece) in enumerate(found):
        if piece is None:
            return value
        pieces = pieces or PieceSet(piece, 0.0)
        pieces.add(piece, number, value)
    return pieces.join() if pieces is not None and pieces.complete else None
