"""waitress, stricter: no ambiguous requests, and no end of patience with slow clients."""

from __future__ import annotations

import math
import socket
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer, UnixWSGIServer

_PIECE = 64 * 1024


class StrictParser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses what two servers in a row could read as two different requests."""

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


class StrictChannel(HTTPChannel):  # type: ignore[misc]
    """Knows since when a request is coming in; lets a refusal reach the client.

    A socket that is closed with unread bytes in it is reset, and the answer that went
    before may be lost. So after a refusal, what still comes is read and thrown away.
    """

    parser_class = StrictParser
    #: Since when a request, or what follows a refusal, is coming in.
    receiving_since = math.inf
    will_close: bool = False
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
            if channel.receiving_since < since:
                channel.will_close = True


class StrictTcpServer(StrictServer, TcpWSGIServer):  # type: ignore[misc]
    """Over TCP."""


class StrictUnixServer(StrictServer, UnixWSGIServer):  # type: ignore[misc]
    """Over a Unix socket."""
