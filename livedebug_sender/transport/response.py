"""What `Transport.post` gives back, or raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import DeliveryError

if TYPE_CHECKING:
    from .http1 import RawResponse

#: Bytes of an answer's body that a `Response` has.
MAX_ANSWER = 4096
#: Bytes of it that are read, so that its connection can be kept; with more it is closed.
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


class NoResponse(DeliveryError):
    """No whole answer came.

    Attributes:
        bytes_sent: bytes of the body that went out on a connection; 0 where there was none.
        cut_after_body: the whole request was written, and then the connection was cut:
            the request may have crashed the server.
        partial: what came of the answer, if a whole one was asked for; None without a whole
            head.
    """

    def __init__(
        self,
        message: str,
        *,
        bytes_sent: int = 0,
        cut_after_body: bool = False,
        partial: RawResponse | None = None,
    ) -> None:
        super().__init__(message)
        self.bytes_sent = bytes_sent
        self.cut_after_body = cut_after_body
        self.partial = partial


class TimedOut(NoResponse):
    """No whole answer came in time."""
