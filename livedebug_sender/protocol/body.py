"""How payloads of one track become one body.

JSON arrays are merged by joining their insides with commas. A large body is never
joined whole: fresh buffers of megabytes cost more (page faults) than the HTTP around
them, so it is a chain of pieces, made while it is sent. Many small ones cost too: after
each, the worker has to wait for its turn among the host's threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .payload import JSON_SPACE

#: Bytes of a piece, about.
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
    parts = parts or [b""]
    parts[0] = (_MULTIPART_HEAD if multipart else b"") + b"[" + parts[0]
    parts[-1] += b"]" + (_MULTIPART_TAIL if multipart else b"")
    body = Body(parts)
    return b",".join(parts) if len(body) <= PIECE else body


def inside(payload: bytes) -> bytes:
    """What a payload adds to an array: itself, or what is between its brackets."""
    if payload[0] == _OBJECT:
        return payload
    return payload[1:-1].strip(JSON_SPACE)


class Body:
    """Parts with commas between them; may be iterated, and sent, again."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts
        self._length = sum(map(len, parts)) + len(parts) - 1

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """Pieces, each of as many parts as make a `PIECE` on average.

        To add up the sizes of each one's parts would cost more than joining them.
        """
        parts = self._parts
        count = max(1, PIECE * len(parts) // self._length)
        last = (len(parts) - 1) // count * count
        for start in range(0, last, count):
            if count == 1:  # large ones go out as they are: a copy of each costs its size
                yield from (parts[start], b",")
            else:
                yield b",".join([*parts[start : start + count], b""])
        yield b",".join(parts[last:])
