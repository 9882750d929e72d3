"""An intake that takes any framing and answers with raw bytes."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from http.client import parse_headers
from socketserver import StreamRequestHandler, ThreadingTCPServer


@dataclass(frozen=True)
class Seen:
    line: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class RawIntake:
    """Answers each request with `answer` and hangs up."""

    answer: bytes = b""
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        owner = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline().decode("latin-1").strip()
                if not line:
                    return
                headers: dict[str, str] = {}
                for name, value in parse_headers(self.rfile).items():
                    before = headers.get(name.lower())
                    headers[name.lower()] = value if before is None else f"{before}, {value}"
                owner.seen.append(Seen(line, headers, self._body(headers)))
                self.wfile.write(owner.answer)
                self.connection.shutdown(socket.SHUT_WR)

            def _body(self, headers: dict[str, str]) -> bytes:
                if "transfer-encoding" not in headers:
                    return self.rfile.read(int(headers.get("content-length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                return body

        class Server(ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, *args: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
