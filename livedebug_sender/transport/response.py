"""What `Transport.post` gives back."""

from __future__ import annotations

from typing import NamedTuple

#: Bytes of an answer's body that are given on.
MAX_ANSWER = 4096
#: Bytes of it that are read to keep its connection; more is not worth it.
MAX_READ = 64 * 1024


class Response(NamedTuple):
    """An answer, as far as a sender needs it.

    Attributes:
        retry_after: the header of that name, as it came.
        body: its first `MAX_ANSWER` bytes; less if it came to an early end.
        date: the answer's own ``Date`` header, which a date in `retry_after` is relative to.
        bytes_sent: bytes of the request's body that went out.
    """

    status: int
    retry_after: str | None
    body: bytes
    date: str | None = None
    bytes_sent: int = 0
