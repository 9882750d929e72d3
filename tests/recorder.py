"""A server that keeps every request as it came, over TCP or a Unix socket."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import Queue
from typing import Any


@dataclass(frozen=True)
class Recorded:
    """One request. Header names in lower case; values are the bytes of the wire."""

    method: str
    path: str
    query: str | None
    headers: dict[str, bytes]
    body: bytes


class Recorder:
    """What a server got, in order, and what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 202
        self.answer = b""
        self._requests: Queue[Recorded] = Queue()

    def add(self, request: Recorded) -> None:
        self._requests.put(request)

    def next(self) -> Recorded:
        """The next request; `queue.Empty` if none comes."""
        return self._requests.get(timeout=5)

    def is_empty(self) -> bool:
        return self._requests.empty()


@contextmanager
def recording_server(socket_file: Path | None = None) -> Iterator[Recorder]:
    """A server on a free port of loopback, or on a Unix socket."""
    server: Any
    if socket_file is None:
        server = _TCPServer(("127.0.0.1", 0), _Handler)
        url = f"http://127.0.0.1:{server.server_address[1]}"
    else:
        server = _UnixServer(str(socket_file), _Handler)
        url = f"unix://{socket_file}"
    server.recorder = Recorder(url)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.recorder
    finally:
        server.shutdown()
        server.server_close()


class _TCPServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: the client may be gone after its first read

    def do_GET(self) -> None:
        """``/info``, as an agent without ``/debugger/v2/input`` has it."""
        self._reply(200, json.dumps({"endpoints": ["/debugger/v1/diagnostics"]}).encode())

    def do_POST(self) -> None:
        path, mark, query = self.path.partition("?")
        pairs = [(name.lower(), value.encode("latin-1")) for name, value in self.headers.items()]
        assert len(dict(pairs)) == len(pairs), f"a header came twice: {pairs}"
        recorder = self.server.recorder  # type: ignore[attr-defined]
        recorder.add(
            Recorded(self.command, path, query if mark else None, dict(pairs), self._body())
        )
        self._reply(recorder.status, recorder.answer)

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def address_string(self) -> str:
        return "client"  # a Unix socket's client has no address

    def log_message(self, format: str, *args: object) -> None:
        pass
