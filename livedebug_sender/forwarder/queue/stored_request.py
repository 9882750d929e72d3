"""A stored request, and its binary format, which disk and Kafka share; no I/O.

The format is an envelope and the body. The envelope, big-endian:

=======  ====  =====================================================================
offset   size  what
=======  ====  =====================================================================
0        4     ``LDQR``
4        4     CRC-32 of all that follows, the body included
8        1     the version of the format, 1
9        3     zero
12       4     bytes of the head, H
16       8     bytes of the body, B
24       H     the head: a JSON array of route, request id, time of arrival (seconds
               since 1970), query, and an object of the headers; UTF-8
=======  ====  =====================================================================

The body follows at ``24 + H``; on disk it may be stored separately. It contains no API key and
no credential of the tracer, since a `StoredRequest` has none.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...protocol.credentials import is_credential

VERSION = 1
MAGIC = b"LDQR"
_FIXED = struct.Struct(">4sIB3xIQ")
# `json.dumps` would make one anew for each request.
_HEAD = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
#: The checksum covers everything from here on.
_COVERED = 8
# Control characters, and characters that are not a byte.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
#: The year 10,000, the end of the range of dates.
_END_OF_TIME = 253_402_300_800.0


class DamagedRecord(ValueError):
    """Bytes that are not a complete stored request; the message says why."""


class NewerRecord(DamagedRecord):
    """A stored request in a later version of the format; it is not damaged."""


@dataclass(frozen=True)
class StoredRequest:
    """A request to the intake, without its endpoint and its key.

    Args:
        route: the path that the tracer posted to.
        request_id: its ``DD-REQUEST-ID``, the same for each delivery.
        received_at: seconds since 1970.
        query: without the ``?``.
        headers: as in WSGI, text with one character for each byte; without credentials.
    """

    route: str
    request_id: str
    received_at: float
    # Not in the repr: they contain data captured by the host.
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def __post_init__(self) -> None:
        kept = {name: value for name, value in self.headers.items() if not is_credential(name)}
        object.__setattr__(self, "headers", kept)

    @property
    def size(self) -> int:
        """Its approximate size in bytes, which counts towards the limits."""
        heads = sum(map(len, self.headers)) + sum(map(len, self.headers.values()))
        return len(self.body) + heads + len(self.query) + len(self.route) + len(self.request_id)


def encode_envelope(request: StoredRequest) -> bytes:
    """The binary format without the body."""
    fields = request.route, request.request_id, request.received_at, request.query, request.headers
    head = _HEAD.encode(fields).encode("utf-8", "surrogatepass")
    fixed = _FIXED.pack(MAGIC, 0, VERSION, len(head), len(request.body))
    checksum = zlib.crc32(request.body, zlib.crc32(head, zlib.crc32(fixed[_COVERED:])))
    return _FIXED.pack(MAGIC, checksum, VERSION, len(head), len(request.body)) + head


def encode(request: StoredRequest) -> bytes:
    """The complete binary format."""
    return b"".join((encode_envelope(request), request.body))


def decode(encoded: bytes | memoryview) -> StoredRequest:
    """The request that was passed to `encode`.

    Raises:
        DamagedRecord: `NewerRecord` for a later version.
    """
    whole = memoryview(encoded)
    head_end = _FIXED.size + _fixed_part(whole)[1]
    return decode_parts(whole[:head_end], bytes(whole[head_end:]))


def decode_parts(envelope: bytes | memoryview, body: bytes) -> StoredRequest:
    """The request of an envelope and a separately stored body, which is not copied.

    Raises:
        DamagedRecord: `NewerRecord` for a later version.
    """
    check_parts(envelope, body)
    route, request_id, received_at, query, headers = _head(memoryview(envelope))
    return StoredRequest(route, request_id, received_at, query, headers, body)


def check_parts(envelope: bytes | memoryview, body: bytes) -> None:
    """Check that they are undamaged without decoding them, in an eighth of the time.

    Raises:
        DamagedRecord: they are damaged; `NewerRecord` for a later version.
    """
    envelope = memoryview(envelope)
    checksum, head_size, body_size = _fixed_part(envelope)
    if len(envelope) != _FIXED.size + head_size or len(body) != body_size:
        raise DamagedRecord(
            f"{len(envelope)} + {len(body)} bytes, expected {_FIXED.size + head_size} + {body_size}"
        )
    if zlib.crc32(body, zlib.crc32(envelope[_COVERED:])) != checksum:
        raise DamagedRecord("the checksum does not match")


def peek(envelope: bytes) -> tuple[str, str, float]:
    """Route, request id and time of arrival from an envelope alone.

    Raises:
        DamagedRecord: as far as damage can be detected without the body.
    """
    whole = memoryview(envelope)
    _fixed_part(whole)
    return _head(whole)[:3]


def _head(envelope: memoryview) -> tuple[str, str, float, str, dict[str, str]]:
    """The fields of the head, validated.

    The checksum does not protect against forgery: no record that somebody writes to the topic or
    the folder may raise another exception, or add a header.
    """
    try:
        route, request_id, received_at, query, headers = json.loads(
            bytes(envelope[_FIXED.size :]).decode("utf-8", "surrogatepass")
        )
        texts = [route, request_id, query, *headers, *headers.values()]
        if _FORBIDDEN.search("".join(texts)):
            raise DamagedRecord("its head contains invalid characters")
        received_at = float(received_at)
        if not 0 <= received_at < _END_OF_TIME:
            raise DamagedRecord("its time of arrival is invalid")
        return route, request_id, received_at, query, headers
    except DamagedRecord:
        raise
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedRecord(f"the head can't be read: {error}") from None


def _fixed_part(envelope: memoryview) -> tuple[int, int, int]:
    """The checksum, the size of the head and that of the body."""
    if len(envelope) < _FIXED.size:
        raise DamagedRecord(f"{len(envelope)} bytes, expected at least {_FIXED.size}")
    magic, checksum, version, head_size, body_size = _FIXED.unpack_from(envelope)
    if magic != MAGIC:
        raise DamagedRecord("it does not start like a stored request")
    if version > VERSION:
        raise NewerRecord(f"version {version} of the format; this release reads up to {VERSION}")
    return checksum, head_size, body_size
