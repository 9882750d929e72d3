"""waitress, stricter: no ambiguous requests, and no end of patience with slow clients."""

from __future__ import annotations

import math
import socket
import threading
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer, UnixWSGIServer
from waitress.utilities import BadRequest, Error

from .settings import MAX_HEAD

_PIECE = 64 * 1024
#: Bytes of a line that tells the size of a chunk; each piece of a longer one would cost
#: a search through all of it.
_MAX_CHUNK_LINE = 4096


class TooMuch(Error):  # type: ignore[misc]
    """Told to a client whose body has no room; the connection is closed."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        status, headers, body = super().to_response(ident)
        return status, [*headers, ("Retry-After", "1")], body


class Incoming:
    """How many bytes of bodies the server holds: those of all connections together."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Guards: the number below. Bodies grow on one thread and end on others.
        self._lock = threading.Lock()
        self._held = 0

    def take(self, size: int) -> bool:
        """So many more came in; False if that is more than there may be."""
        with self._lock:
            self._held += size
            return self._held <= self._most

    def give_back(self, size: int) -> None:
        with self._lock:
            self._held -= size


class StrictParser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses what two servers in a row could read as two different requests.

    And what has no room: a body is counted in as it comes, until the request is closed.
    """

    _counted = 0

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        grown = self.body_bytes_received - self._counted
        if grown:
            self._counted += grown
            if not self.adj.incoming.take(grown) and self.error is None:
                self._refuse(TooMuch("too many bodies at once; try again"))
        if self.chunked and self.error is None:
            receiver = self.body_rcv
            if len(receiver.control_line) > _MAX_CHUNK_LINE or len(receiver.trailer) > MAX_HEAD:
                self._refuse(BadRequest("a chunk's line or a trailer is too long"))
        return consumed

    def _refuse(self, error: Error) -> None:
        self.error = error
        self.completed = True

    def close(self) -> None:
        self.adj.incoming.give_back(self._counted)
        self._counted = 0
        super().close()

    def parse_header(self, header_plus: bytes) -> None:
        names = [line.partition(b":")[0].lower() for line in header_plus.split(b"\r\n")[1:]]
        if b"transfer-encoding" in names and b"content-length" in names:
            raise ParsingError("Transfer-Encoding and Content-Length in one request")
        first_line = header_plus.partition(b"\r\n")[0].rstrip()
        if b"transfer-encoding" in names and not first_line.endswith(b"HTTP/1.1"):
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")
        if names.count(b"content-length") > 1 or names.count(b"host") > 1:
            raise ParsingError("Content-Length or Host more than once")
        try:
            super().parse_header(header_plus)
        except ValueError:  # a length of thousands of digits, a URI that is none
            raise ParsingError("The request can't be read") from None
        if b"transfer-encoding" in names and not self.chunked:
            raise ParsingError("Transfer-Encoding without a coding")


class StrictChannel(HTTPChannel):  # type: ignore[misc]
    """Knows since when a request is coming in; lets a refusal reach the client.

    A socket that is closed with unread bytes in it is reset, and the answer that went
    before may be lost. So after a refusal, what still comes is read and thrown away.
    """

    parser_class = StrictParser
    #: Since when a request, or what follows a refusal, is coming in.
    receiving_since = math.inf
    will_close: bool = False
    request: StrictParser | None = None
    _refused = False
    _lingering = False

    def received(self, data: bytes) -> bool:
        before = self.request
        took = super().received(data)
        if self.request is None:
            self.receiving_since = math.inf
        elif self.request is not before:
            self.receiving_since = time.monotonic()
        return bool(took)

    def service(self) -> None:
        self._refused = bool(self.requests[0].error)
        super().service()
        if self.request is not None:  # nobody listened to the next one meanwhile
            self.receiving_since = time.monotonic()

    def handle_close(self) -> None:
        if self._refused and self.will_close:
            self._refused = False
            self.will_close = False
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            else:
                self._lingering = True
                self.receiving_since = time.monotonic()
                return
        if self.request is not None:  # cut in the middle; nobody else knows of it
            self.request.close()
            self.request = None
        super().handle_close()

    def readable(self) -> bool:
        return self._lingering or super().readable()

    def handle_read(self) -> None:
        if not self._lingering:
            super().handle_read()
            return
        try:
            self.recv(_PIECE)  # closes at the end
        except OSError:
            self.handle_close()

    @property
    def busy(self) -> bool:
        return bool(self.requests or self.request is not None or self.total_outbufs_len)


class StrictServer:
    """Mixed into waitress's servers."""

    channel_class = StrictChannel
    receive_timeout: float
    active_channels: dict[int, Any]

    def maintenance(self, now: float) -> None:
        """Close connections that idle, and those whose request comes in drop by drop."""
        super().maintenance(now)  # type: ignore[misc]
        since = time.monotonic() - self.receive_timeout
        for channel in self.active_channels.values():
            # Not one that waits for an answer: the next request may take its time.
            if channel.receiving_since < since and not channel.requests:
                channel.will_close = True


class StrictTcpServer(StrictServer, TcpWSGIServer):  # type: ignore[misc]
    """Over TCP."""


class StrictUnixServer(StrictServer, UnixWSGIServer):  # type: ignore[misc]
    """Over a Unix socket."""
