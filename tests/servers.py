"""Real servers on loopback, each in a thread, on a free port, for a `with` block."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import StreamRequestHandler, ThreadingTCPServer, ThreadingUnixStreamServer
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from livedebug_sender.protocol.body import MULTIPART_TYPE

if TYPE_CHECKING:
    from typing_extensions import Self

#: Seconds; only what fails takes that long. A busy machine starts some programs in 20.
PATIENCE = 60.0


@dataclass(frozen=True)
class Arrived:
    """A request as a server saw it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    connection: int

    @property
    def elements(self) -> list[Any]:
        """The elements of the JSON array in the body."""
        body = self.body
        if self.headers["content-type"] == MULTIPART_TYPE:
            body = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
        found = json.loads(body)
        assert isinstance(found, list)
        return found


@dataclass(frozen=True)
class Reply:
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    #: Hang up after the answer without having said so.
    hang_up: bool = False


Answering = Callable[[Arrived], "Reply | int"]


class RecordingServer:
    """Answers as it is told and remembers what came."""

    def __init__(
        self,
        answer: Answering | Reply | int = 202,
        *,
        tls: ssl.SSLContext | None = None,
        unix: str | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.answer: Answering = answer if callable(answer) else lambda _: answer
        self.requests: list[Arrived] = []
        self.news = threading.Condition()
        self._connections: list[socket.socket] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = unix is None
            # The status line, the headers and the body in one piece: a client may be gone
            # after its first read.
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                owner._connections.append(self.connection)

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.serve(self, body)

            do_GET = do_POST = handle_any

            def address_string(self) -> str:
                return "client"

            def log_message(self, *args: object) -> None:
                pass

        class Quiet:
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128
            allow_reuse_address = True

            def handle_error(self, *args: object) -> None:
                pass  # a client that hung up

        if unix is not None:
            server_type: Any = type("Server", (Quiet, ThreadingUnixStreamServer), {})
            self._server = server_type(unix, Handler)
            self.url = f"unix://{unix}"
        else:
            server_type = type("Server", (Quiet, ThreadingTCPServer), {})
            self._server = server_type((host, port), Handler)
            self.port = self._server.server_address[1]
            host = "localhost" if tls else host
            self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def serve(self, handler: Any, body: bytes) -> None:
        parts = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        arrived = Arrived(
            handler.command, parts.path, parts.query, headers, body, id(handler.connection)
        )
        with self.news:
            self.requests.append(arrived)
            self.news.notify_all()
        reply = self.answer(arrived)
        reply = Reply(reply) if isinstance(reply, int) else reply
        if "Date" in reply.headers:
            handler.send_response_only(reply.status)
        else:
            handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)
        handler.wfile.flush()
        if reply.hang_up:
            handler.close_connection = True

    def wait_for(self, wanted: int | Callable[[list[Arrived]], bool]) -> list[Arrived]:
        """What arrived, once it is so many requests, or what is wanted."""
        test = wanted if callable(wanted) else lambda requests: len(requests) >= wanted
        with self.news:
            arrived = self.news.wait_for(lambda: test(self.requests), PATIENCE)
            assert arrived, f"waited in vain; there were {len(self.requests)} requests"
            return list(self.requests)

    def hang_up(self) -> None:
        """Cut all connections, as the end of a server's process does."""
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # cut already

    @property
    def posts(self) -> list[Arrived]:
        return [request for request in self.requests if request.method == "POST"]

    def elements(self) -> list[Any]:
        """The elements of all JSON bodies, in the order they came."""
        return [element for request in self.posts for element in request.elements]

    def __enter__(self) -> RecordingServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class RawServer:
    """Reads a request, then does as it is told with the bare socket."""

    def __init__(
        self, act: Callable[[socket.socket, threading.Event], None], *, port: int = 0
    ) -> None:
        self.connections = 0
        self.arrived = threading.Event()
        self.over = threading.Event()
        owner = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                owner.connections += 1
                length = 0
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.rfile.read(length)
                owner.arrived.set()
                try:
                    act(self.connection, owner.over)
                except OSError:
                    pass  # the client hung up

        class Server(ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, *args: object) -> None:
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> RawServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def hang(connection: socket.socket, over: threading.Event) -> None:
    """Never answer."""
    over.wait()


def drip(connection: socket.socket, over: threading.Event) -> None:
    """Begin an answer that never ends, a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        connection.sendall(b"x")


def cut(connection: socket.socket, over: threading.Event) -> None:
    """Hang up in the middle of the answer."""
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Len")


@contextmanager
def full_backlog() -> Iterator[str]:
    """A server that accepts nobody, its queue of connections full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for filler in fillers:
                filler.close()


class SmallServer:
    """Serves each connection in a thread of its own, by `serve`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.over = threading.Event()
        owner = self

        class Handler(StreamRequestHandler):
            def setup(self) -> None:
                # Else what is still to be sent is lost when it hangs up on unread bytes.
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if tls is not None:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def handle(self) -> None:
                try:
                    owner.serve(self.connection, self.rfile)
                except OSError:
                    pass  # the client hung up

            def finish(self) -> None:
                super().finish()
                if tls is not None:  # nobody else knows of it
                    self.request.close()

        class Server(ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: object) -> None:
                pass  # no TLS, say

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def serve(self, connection: socket.socket, reader: BinaryIO) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class EarlyServer(SmallServer):
    """Answers once it has read the head, and no more: then hangs up, stops reading, or reads on.

    Args:
        then: ``"close"`` (with the body unread), ``"stop"`` or ``"linger"``.
    """

    def __init__(self, answer: bytes, then: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.connections = 0
        self.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self.port}"
        self._answer = answer
        self._then = then

    def serve(self, connection: socket.socket, reader: BinaryIO) -> None:
        self.connections += 1
        while reader.readline() not in (b"\r\n", b""):
            pass
        connection.sendall(self._answer)
        if self._then == "stop":
            self.over.wait()
        while self._then == "linger" and reader.read(65536):
            pass


def free_port() -> int:
    """A port where nobody listens, and that no other test is given meanwhile."""
    sock = socket.socket()
    # A server of the test's own may still have it: they all set this option, and it does not
    # listen. A port that is merely found free is soon somebody's, of so many programs.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    port = int(sock.getsockname()[1])
    sock.detach()  # open as long as this process is
    return port


def socket_file(directory: Any) -> str:
    """A path for a Unix socket, short enough for one."""
    return os.path.join(str(directory), "s")
