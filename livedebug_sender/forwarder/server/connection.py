"""One client's connection: receives requests and sends responses, without blocking.

Each step does what the socket allows and returns what to wait for. Only one thread at a time
uses a connection; between steps it is registered with the epoll of a `Worker` or, while its answer
is pending, with nobody: whoever sends the answer registers it again.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from typing import NamedTuple

from ..limits import BodyBytesLimit
from ..settings import MAX_HEAD
from .http1 import ChunkedBody, RequestError, RequestHead, SizedBody, parse_head

# Enough for a head with a small body; of a large body, this much is copied once.
_PIECE = 16 * 1024
_LARGE_PIECE = 64 * 1024
#: Pieces read from one client before other clients get their turn; of a chunked body, one.
_TURN = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Patience(NamedTuple):
    """Timeouts for clients, in seconds.

    Attributes:
        idle: between two requests.
        head: from the first byte of a request to the end of its head; and to close the
            connection after the last response.
        rest: from the first byte of a request to its last; and to read its response.
    """

    idle: float
    head: float
    rest: float


class Wait(Enum):
    """What a connection waits for."""

    INPUT = "input"
    OUTPUT = "output"
    ANSWER = "answer"  # it is pending; whoever sends it registers the connection again
    NOTHING = "nothing"  # it is finished


@dataclass
class IncomingRequest:
    head: RequestHead
    body: BytesIO
    size: int


class Connection:
    """A connection.

    Args:
        sock: owned by the connection from then on, and made non-blocking.
        max_body_bytes: maximum body of one request.
        body_bytes: limits the bodies being received on all connections together.
    """

    def __init__(
        self, sock: socket.socket, max_body_bytes: int, body_bytes: BodyBytesLimit
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.peer = ""
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peer = sock.getpeername()[0]
        #: Since when it has been waiting for the client to send or to read (time.monotonic).
        self.waiting_since = time.monotonic()
        #: Whether there is a request whose response is not completely sent.
        self.busy = False
        self._max_body_bytes = max_body_bytes
        self._body_bytes = body_bytes
        self._reserved = 0
        self._buffer = b""
        self._begun = False
        self._searched = 0
        self._head: RequestHead | None = None
        self._reader: SizedBody | ChunkedBody | None = None
        self._outgoing = memoryview(b"")
        self._closing = False
        self.lingering = False

    @property
    def idle(self) -> bool:
        """Whether no request is being received, and no response being sent."""
        return not (self.busy or self._begun or self._outgoing or self.lingering)

    @property
    def unanswered(self) -> bool:
        """Whether a request, or a part of one, was received whose response was not sent yet."""
        return self.busy or self._begun

    def receive(self) -> IncomingRequest | None:
        """The next complete request; None while a part of it is missing or not read yet.

        Raises:
            RequestError: it is refused. The caller sends the response, with `last`.
            OSError: the connection has ended.
        """
        if self._reader is None and not self._receive_head():
            return None
        assert self._head is not None
        body = self._receive_body()
        if body is None:
            return None
        request = IncomingRequest(self._head, body, len(body.getbuffer()))
        self._head = self._reader = None
        self._release()
        self.busy = True
        return request

    def send(self, answer: bytes, *, last: bool) -> Wait:
        """Send a response, as much of it as possible without blocking.

        Args:
            last: close the connection after it.
        """
        self._closing = last
        try:
            sent = self.sock.send(answer)
        except BlockingIOError:
            sent = 0
        if sent < len(answer):
            # Reset first: the time that it took to answer does not count against the client.
            self.waiting_since = time.monotonic()
            self._outgoing = memoryview(answer)[sent:]
            return Wait.OUTPUT
        return self._answered()

    def send_on(self) -> Wait:
        """Continue sending the response."""
        try:
            self._outgoing = self._outgoing[self.sock.send(self._outgoing) :]
        except BlockingIOError:
            pass
        return Wait.OUTPUT if self._outgoing else self._answered()

    def discard(self) -> Wait:
        """After the last response: read and discard until the client closes.

        Closing a socket with unread bytes resets the connection, and the client may lose the
        response.
        """
        for _ in range(_TURN):
            try:
                if not self.sock.recv(_LARGE_PIECE):
                    return Wait.NOTHING
            except BlockingIOError:
                break
        return Wait.INPUT

    @property
    def sending(self) -> bool:
        return bool(self._outgoing)

    @property
    def has_input(self) -> bool:
        """Whether bytes after the last request have already been received."""
        return bool(self._buffer)

    @property
    def in_request(self) -> bool:
        """Whether the client is between the head of a request and the end of its response."""
        return self.busy or self._reader is not None or bool(self._outgoing)

    def overdue(self, now: float, patience: Patience) -> bool:
        """Whether the client exceeded one of the timeouts of `Patience`."""
        if self.busy and not self._outgoing:
            return False
        if self.idle:
            seconds = patience.idle
        else:
            seconds = patience.rest if self.in_request else patience.head
        return now - self.waiting_since > seconds

    def abort(self) -> None:
        """Shut it down, from any thread; the thread that uses it will then see its end."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self._release()
        self.sock.close()

    def _answered(self) -> Wait:
        self.busy = False
        self.waiting_since = time.monotonic()
        self._begun = bool(self._buffer)
        if not self._closing:
            return Wait.INPUT
        self._buffer = b""
        self.lingering = True
        self.sock.shutdown(socket.SHUT_WR)
        return self.discard()

    def _receive_head(self) -> bool:
        buffer = self._buffer
        if buffer.startswith(b"\r\n"):  # as below, after the previous request
            buffer = self._buffer = buffer[2:]
            self._begun = bool(buffer)
        while (end := buffer.find(b"\r\n\r\n", self._searched)) < 0:
            if len(buffer) > MAX_HEAD:
                raise RequestError(431, f"the headers have more than {MAX_HEAD} bytes")
            self._searched = max(0, len(buffer) - 3)
            piece = self._receive(_PIECE)
            if piece is None:
                return False
            if not self._begun:
                self._begun = True
                self.waiting_since = time.monotonic()
            buffer = self._buffer = buffer + piece
            if buffer.startswith(b"\r\n"):  # some clients send an extra line end after a body
                buffer = self._buffer = buffer[2:]
                self._searched = 0
        if end > MAX_HEAD:
            raise RequestError(431, f"the headers have more than {MAX_HEAD} bytes")
        self._searched = 0
        self._head = head = parse_head(buffer[: end + 4])
        self._buffer = b""
        rest = buffer[end + 4 :]
        size = head.content_length
        if size is None:
            self._reader = ChunkedBody(self._max_body_bytes, self._reserve)
            self._buffer = self._reader.feed(rest)
        elif size > self._max_body_bytes:
            raise RequestError(413, f"the body has more than {self._max_body_bytes} bytes")
        else:
            self._reader = SizedBody(size, rest[:size], self._reserve)
            self._buffer = rest[size:]
        if head.awaits_continue and not self._reader.done:
            # It nearly always fits into the socket's buffer; if not, it is left out.
            self.sock.send(_CONTINUE)
        return True

    def _receive_body(self) -> BytesIO | None:
        reader = self._reader
        assert reader is not None
        if isinstance(reader, ChunkedBody):
            self._receive_chunks(reader)
        else:
            self._receive_sized(reader)
        return reader.body if reader.done else None

    def _receive_chunks(self, reader: ChunkedBody) -> None:
        """One piece: chunks of a byte each keep a thread busy for long."""
        piece = None if reader.done else self._receive(_LARGE_PIECE)
        if piece is not None:
            self._buffer = reader.feed(piece)

    def _receive_sized(self, reader: SizedBody) -> None:
        for _ in range(_TURN):
            if reader.done:
                return
            with reader.room() as room:
                try:
                    count = self.sock.recv_into(room)
                except BlockingIOError:
                    return
            if not count:
                raise ConnectionResetError("the connection ended in a body")
            reader.advance(count)

    def _receive(self, size: int) -> bytes | None:
        try:
            piece = self.sock.recv(size)
        except BlockingIOError:
            return None
        if not piece:
            raise ConnectionResetError("the client closed the connection")
        return piece

    def _reserve(self, size: int) -> None:
        if not self._body_bytes.acquire(size):
            raise RequestError(503, "too many bodies at once; try again")
        self._reserved += size

    def _release(self) -> None:
        if self._reserved:
            self._body_bytes.release(self._reserved)
            self._reserved = 0
