"""Merges the payloads of one track into one body.

JSON arrays are merged by joining their contents with commas. A large body is never joined as a
whole: new buffers of megabytes cost more (page faults) than the HTTP request, so it is a
sequence of pieces that are created while it is sent. Many small pieces are slow, too: after
each, the worker has to wait for the GIL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .payload import JSON_SPACE

#: Approximate bytes of a piece.
PIECE = 1024 * 1024

BOUNDARY = "------------------------44617461646f67"
MULTIPART_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
_MULTIPART_HEAD = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="event"; filename="event.json"\r\n'
    "Content-Type: application/json\r\n\r\n"
).encode()
_MULTIPART_TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()

_OBJECT = ord("{")


def merge(payloads: Sequence[bytes], *, multipart: bool) -> bytes | Body:
    """One JSON array of all payloads, as a part of a multipart form or on its own.

    ``bytes`` if it fits one piece, else a `Body`.
    """
    parts = [part for text in payloads if (part := text if text[0] == _OBJECT else inside(text))]
    opening = _MULTIPART_HEAD + b"[" if multipart else b"["
    closing = b"]" + _MULTIPART_TAIL if multipart else b"]"
    parts = parts or [b""]
    body = Body(parts, opening, closing)
    if len(body) > PIECE:
        return body
    parts[0] = opening + parts[0]
    parts[-1] += closing
    return b",".join(parts)


def inside(payload: bytes) -> bytes:
    """What a payload contributes to the merged array: itself, or the elements of its array."""
    if payload[0] == _OBJECT:
        return payload
    return payload[1:-1].strip(JSON_SPACE)


class Body:
    """Parts joined by commas; may be iterated, and thus sent, repeatedly."""

    def __init__(self, parts: Sequence[bytes], opening: bytes, closing: bytes) -> None:
        self._parts = parts
        self._opening = opening
        self._closing = closing
        commas = len(parts) - 1
        self._length = len(opening) + sum(map(len, parts)) + commas + len(closing)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """Pieces of a fixed number of parts, which on average add up to a `PIECE`.

        Adding up the sizes of the parts of each piece would cost more than joining them.
        """
        parts = self._parts
        count = max(1, PIECE * len(parts) // self._length)
        last = (len(parts) - 1) // count * count
        yield self._opening
        for start in range(0, last, count):
            if count == 1:  # large parts are not copied
                yield from (parts[start], b",")
            else:
                yield b",".join([*parts[start : start + count], b""])
        yield parts[last] if last == len(parts) - 1 else b",".join(parts[last:])
        yield self._closing
