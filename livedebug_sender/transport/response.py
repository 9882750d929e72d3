"""What `Transport.post` returns or raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import DeliveryError

if TYPE_CHECKING:
    from .http1 import RawResponse

#: Bytes of the body that a `Response` contains.
MAX_ANSWER = 4096
#: Bytes of the body that are read so that the connection can be reused; if it is larger, the
#: connection is closed.
MAX_READ = 64 * 1024


class Response(NamedTuple):
    """The parts of a response that a sender needs.

    Attributes:
        retry_after: the header of that name, not parsed.
        body: its first `MAX_ANSWER` bytes; fewer if it was truncated.
        date: its ``Date`` header, which a date in `retry_after` is relative to.
        bytes_sent: bytes of the request's body that were sent.
    """

    status: int
    retry_after: str | None
    body: bytes
    date: str | None = None
    bytes_sent: int = 0


class NoResponse(DeliveryError):
    """No complete response was received.

    Attributes:
        reason: why, without the host, which the message ends with.
        bytes_sent: bytes of the request's body that were sent; 0 without a connection.
        cut_after_body: whether the connection was closed or reset after the whole request was
            written: the request may have crashed the server.
        partial: the part of the response that was received, if a complete one was requested;
            None if its head is incomplete.
    """

    def __init__(
        self,
        reason: str,
        *,
        host: str = "",
        bytes_sent: int = 0,
        cut_after_body: bool = False,
        partial: RawResponse | None = None,
    ) -> None:
        super().__init__(f"{reason} ({host})" if host else reason)
        self.reason = reason
        self.bytes_sent = bytes_sent
        self.cut_after_body = cut_after_body
        self.partial = partial


class TimedOut(NoResponse):
    """No complete response was received in time."""
