"""One connection: HTTP/1.1 by h11, a WSGI application, and faults on the socket.

A WSGI server would not allow the faults: to answer before the body is read, to send a byte at a
time, to close a connection. So this is a small one of our own; h11 implements HTTP.
"""

from __future__ import annotations

import io
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

import h11

from .faults import GOOD, Fault, FaultInjection
from .reading import PATHS

#: The key of the `Fault` in the WSGI environ.
FAULT_KEY = "livedebug.fault"
_CHUNK = 64 * 1024
#: Seconds without a byte from the client after which the connection is closed.
_IDLE = 75.0
#: Seconds for which the rest of a body is read and discarded after an early response: closing
#: with unread bytes would reset the connection, and the response would be lost.
_LINGER = 2.0
_MAX_HEADERS = 64 * 1024

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Connection:
    """Serves the requests of one connection, on the calling thread.

    Args:
        faults: consulted for every request to the intake's routes.
        stopping: set when the server stops.
    """

    def __init__(
        self,
        sock: socket.socket,
        app: Application,
        faults: Callable[[], FaultInjection],
        stopping: threading.Event,
    ) -> None:
        self._socket = sock
        self._app = app
        self._faults = faults
        self._stopping = stopping
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEADERS)

    def serve(self) -> None:
        """Serve until either side closes the connection."""
        self._socket.settimeout(_IDLE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while not self._stopping.is_set() and self._serve_one():
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            self._refuse(error)
        except (OSError, h11.LocalProtocolError):
            pass  # the client closed it, possibly in the middle of a response

    def _serve_one(self) -> bool:
        """Serve one request; returns whether another one may follow."""
        request = self._next_event()
        if not isinstance(request, h11.Request):
            return False
        body = _Body(self)
        environ = self._environ(request, body)
        fault = self._fault_for(environ)
        answer = _Answer(self._app, environ)
        try:
            if fault.ending:
                self._end(fault.ending)
                return False
            self._stopping.wait(fault.delay)
            self._answer(answer, fault, head_only=request.method == b"HEAD")
        finally:
            answer.close()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            return True
        self._linger()
        return False

    def _fault_for(self, environ: dict[str, Any]) -> Fault:
        fault = GOOD
        if environ["PATH_INFO"] in PATHS and environ["REQUEST_METHOD"] in ("POST", "PUT"):
            is_symdb = environ.get("HTTP_DD_EVP_ORIGIN") == "agent-symdb"
            content_type = environ.get("CONTENT_TYPE", "")
            fault = self._faults().next(
                environ["PATH_INFO"], is_symdb=is_symdb, content_type=content_type
            )
        environ[FAULT_KEY] = fault
        return fault

    def _answer(self, answer: _Answer, fault: Fault, *, head_only: bool) -> None:
        headers = answer.headers
        if fault.early:
            headers = [*headers, ("Connection", "close")]
        self._send(h11.Response(status_code=answer.status, headers=headers), fault.drip)
        for data in answer.body:
            if data and not head_only:
                self._send(h11.Data(data=data), fault.drip)
            if self._stopping.is_set():
                break
        self._send(h11.EndOfMessage(), fault.drip)

    def _send(self, event: Any, drip: float | None = None) -> None:
        data = self._http.send(event) or b""
        if drip is None:
            self._socket.sendall(data)
            return
        for n in range(len(data)):
            self._socket.sendall(data[n : n + 1])
            self._stopping.wait(drip)

    def _end(self, ending: str) -> None:
        if ending == "stall":
            self._wait_for_hang_up()
        elif ending == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _wait_for_hang_up(self) -> None:
        while not self._stopping.is_set():
            came = select.select([self._socket], [], [], 0.1)[0]
            if came and not self._socket.recv(_CHUNK):
                return

    def _linger(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        end = time.monotonic() + _LINGER
        while (left := end - time.monotonic()) > 0 and not self._stopping.is_set():
            self._socket.settimeout(left)
            if not self._socket.recv(_CHUNK):
                return

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer that it was not HTTP, if no response has been started."""
        try:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                text = f"not HTTP: {error}".encode()
                headers = [("Content-Length", str(len(text))), ("Connection", "close")]
                status = error.error_status_hint or 400
                self._send(h11.Response(status_code=status, headers=headers))
                self._send(h11.Data(data=text))
                self._send(h11.EndOfMessage())
                self._linger()
        except (OSError, h11.LocalProtocolError):
            pass

    def _next_event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(self._socket.recv(_CHUNK))
        return event

    def next_data(self) -> bytes:
        """More of the body; empty at its end."""
        event = self._next_event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return b""
        raise ConnectionError("the client closed the connection in the middle of a body")

    def _environ(self, request: h11.Request, body: _Body) -> dict[str, Any]:
        target, _, query = request.target.partition(b"?")
        host, port = self._socket.getsockname()[:2]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method.decode("latin-1"),
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(target).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('latin-1')}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers:
            key = name.decode("latin-1").upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            said = value.decode("latin-1")
            environ[key] = f"{environ[key]},{said}" if key in environ else said
        return environ


class _Body(io.RawIOBase):
    """The body of a request, read from the socket when the application reads it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rest = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest and not self._ended:
            self._rest = memoryview(self._connection.next_data())
            self._ended = not self._rest
        length = min(len(buffer), len(self._rest))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length


class _Answer:
    """The response of a WSGI application: its head, and an iterable body."""

    def __init__(self, app: Application, environ: dict[str, Any]) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.body = app(environ, self._start)

    def close(self) -> None:
        close = getattr(self.body, "close", None)
        if close is not None:
            close()

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        self.status = int(status.split(" ", 1)[0])
        self.headers = headers
