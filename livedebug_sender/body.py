"""How payloads of one track become one body.

JSON arrays are merged by joining their insides with commas. A large body is never
joined whole: fresh buffers of megabytes cost more (page faults) than the HTTP around
them, so it is a chain of small pieces, made while it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

#: Bytes of a piece; below the size from which malloc maps fresh pages for each.
PIECE = 128 * 1024

BOUNDARY = "------------------------44617461646f67"
MULTIPART_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
_MULTIPART_HEAD = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="event"; filename="event.json"\r\n'
    "Content-Type: application/json\r\n\r\n"
).encode()
_MULTIPART_TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()

_ARRAY_START = ord("[")
_JSON_SPACE = b" \t\n\r"


def merge(payloads: Sequence[bytes], *, multipart: bool) -> bytes | Body:
    """One JSON array of all payloads, as a part of a multipart form or on its own.

    ``bytes`` if it fits one piece, else a `Body`.
    """
    head, tail = (_MULTIPART_HEAD, _MULTIPART_TAIL) if multipart else (b"", b"")
    body = Body(head + b"[", [part for p in payloads if (part := inside(p))], b"]" + tail)
    return b"".join(body) if len(body) <= PIECE else body


def inside(payload: bytes) -> bytes:
    """What a payload adds to an array: itself, or what is between its brackets."""
    if payload[0] != _ARRAY_START:
        return payload
    return payload[1:-1].strip(_JSON_SPACE)


class Body:
    """A body in pieces of about 128 KiB; may be iterated, and sent, again."""

    def __init__(self, head: bytes, parts: Sequence[bytes], tail: bytes) -> None:
        self._head = head
        self._parts = parts
        self._tail = tail
        commas = max(0, len(parts) - 1)
        self._length = len(head) + sum(map(len, parts)) + commas + len(tail)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        piece: list[bytes] = [self._head]
        size = len(self._head)
        separator = b""
        for part in self._parts:
            if size + len(part) > PIECE and size > 1:
                yield b"".join(piece)
                piece, size = [], 0
            piece += (separator, part)
            size += len(separator) + len(part)
            separator = b","
        piece.append(self._tail)
        yield b"".join(piece)
