"""A request that waits, and its one binary form, which a disk and a broker share: pure.

The form is an envelope and the body. The envelope, big-endian:

=======  ====  =====================================================================
offset   size  what
=======  ====  =====================================================================
0        4     ``LDQR``
4        4     CRC-32 of all that follows, the body included
8        1     the version of the form, 1
9        3     zero
12       4     bytes of the head, H
16       8     bytes of the body, B
24       H     the head: a JSON array of route, request id, time of arrival (seconds
               since 1970), query, and an object of the headers; UTF-8
=======  ====  =====================================================================

The body follows, at ``24 + H``; a disk may keep it apart. No API key and no credential of
the tracer can get into it: a `StoredRequest` has none.
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
#: What the checksum covers begins here.
_COVERED = 8
# What would end a line, or is no byte.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
#: The year 10,000: what can be shown as a date ends there.
_END_OF_TIME = 253_402_300_800.0


class DamagedRecord(ValueError):
    """Bytes that are not a whole stored request; the message says why."""


class NewerRecord(DamagedRecord):
    """A stored request in a later version of the form; it is not damaged."""


@dataclass(frozen=True)
class StoredRequest:
    """All of a request to the intake but its endpoint and its key.

    Args:
        route: the path that the tracer posted to.
        request_id: its ``DD-REQUEST-ID``, the same at each delivery.
        received_at: seconds since 1970.
        query: without its ``?``.
        headers: as in WSGI, text with a character for each byte. Credentials are left out.
    """

    route: str
    request_id: str
    received_at: float
    # Not shown: they hold what the host captured.
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def __post_init__(self) -> None:
        kept = {name: value for name, value in self.headers.items() if not is_credential(name)}
        object.__setattr__(self, "headers", kept)

    @property
    def size(self) -> int:
        """About how many bytes it has: what is counted against a bound."""
        heads = sum(map(len, self.headers)) + sum(map(len, self.headers.values()))
        return len(self.body) + heads + len(self.query) + len(self.route) + len(self.request_id)


def encode_envelope(request: StoredRequest) -> bytes:
    """All of the form but the body."""
    head = json.dumps(
        [
            request.route,
            request.request_id,
            request.received_at,
            request.query,
            request.headers,
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode("utf-8", "surrogatepass")
    fixed = _FIXED.pack(MAGIC, 0, VERSION, len(head), len(request.body))
    checksum = zlib.crc32(request.body, zlib.crc32(head, zlib.crc32(fixed[_COVERED:])))
    return _FIXED.pack(MAGIC, checksum, VERSION, len(head), len(request.body)) + head


def encode(request: StoredRequest) -> bytes:
    """The whole form in one piece."""
    return b"".join((encode_envelope(request), request.body))


def decode(encoded: bytes | memoryview) -> StoredRequest:
    """What `encode` was given.

    Raises:
        DamagedRecord: `NewerRecord` for a later version.
    """
    whole = memoryview(encoded)
    head_end = _FIXED.size + _fixed_part(whole)[1]
    return decode_parts(whole[:head_end], bytes(whole[head_end:]))


def decode_parts(envelope: bytes | memoryview, body: bytes) -> StoredRequest:
    """The request of an envelope and a body that were kept apart; the body is not copied.

    Raises:
        DamagedRecord: `NewerRecord` for a later version.
    """
    check_parts(envelope, body)
    route, request_id, received_at, query, headers = _head(memoryview(envelope))
    return StoredRequest(route, request_id, received_at, query, headers, body)


def check_parts(envelope: bytes | memoryview, body: bytes) -> None:
    """Are they as they were written, whatever is in them? An eighth of the time of `decode_parts`.

    Raises:
        DamagedRecord: no; `NewerRecord` for a later version.
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
    """Route, request id and time of arrival of an envelope whose body is not at hand.

    Raises:
        DamagedRecord: as far as that can be seen without the body.
    """
    whole = memoryview(envelope)
    _fixed_part(whole)
    return _head(whole)[:3]


def _head(envelope: memoryview) -> tuple[str, str, float, str, dict[str, str]]:
    """The fields of the head.

    The checksum is none against forgery: whoever can write to the topic or the folder gets
    no exception raised, and no header added, by what is in it.
    """
    try:
        route, request_id, received_at, query, headers = json.loads(
            bytes(envelope[_FIXED.size :]).decode("utf-8", "surrogatepass")
        )
        texts = [route, request_id, query, *headers, *headers.values()]
        if _FORBIDDEN.search("".join(texts)):
            raise DamagedRecord("its head has control or other characters that no head has")
        received_at = float(received_at)
        if not 0 <= received_at < _END_OF_TIME:
            raise DamagedRecord("its time of arrival is none")
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
        raise DamagedRecord("it does not begin as a stored request does")
    if version > VERSION:
        raise NewerRecord(f"version {version} of the form; this release reads up to {VERSION}")
    return checksum, head_size, body_size
