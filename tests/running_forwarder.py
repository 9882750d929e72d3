"""A forwarder on its real server, and requests to it."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample_data import KEY

from livedebug_sender.forwarder import Forwarder, Settings
from livedebug_sender.forwarder.counters import (
    CLOSED_CONNECTIONS,
    IN_FLIGHT,
    RECEIVING_BYTES,
    Column,
    Counters,
)
from livedebug_sender.forwarder.metrics import SLOTS
from livedebug_sender.forwarder.server import Server

ROUTES = ("/debugger/v1/input", "/debugger/v1/diagnostics", "/debugger/v2/input", "/symdb/v1/input")
DEBUGGER_ROUTES = ROUTES[:3]
PREFIXES = ("DD_APM_DEBUGGER", "DD_APM_DEBUGGER_DIAGNOSTICS", "DD_APM_SYMDB")


def environ(intake: str, *additional: str, **more: str) -> dict[str, str]:
    """The Agent's variables for an intake, and additional ones, at these URLs."""
    variables = {"DD_API_KEY": KEY, "DD_HOSTNAME": "h", "DD_ENV": "e"}
    for prefix in PREFIXES:
        variables[f"{prefix}_DD_URL"] = f"{intake}/api/v2/debugger"
        if additional:
            table = {f"{url}/more": [f"key-of-{n}"] for n, url in enumerate(additional)}
            variables[f"{prefix}_ADDITIONAL_ENDPOINTS"] = json.dumps(table)
    return {**variables, **more}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running:
    def __init__(self, app: Forwarder, server: Server, column: Column) -> None:
        self.app = app
        self.server = server
        self._column = column
        self.delivered: bool | None = None
        host, _, port = server.addresses[0].rpartition(":")
        self.host, self.port = host, int(port) if port.isdigit() else 0
        self.url = f"http://{host}:{port}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.delivered = self.server.run()

    @property
    def receiving_bytes(self) -> int:
        return self._column.total(RECEIVING_BYTES)

    @property
    def in_flight(self) -> int:
        return self._column.total(IN_FLIGHT)

    @property
    def closed_connections(self) -> int:
        return self._column.total(CLOSED_CONNECTIONS)

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, Any] | None = None
    ) -> Answered:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            lines = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, lines, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answered:
        return self.ask("GET", path)

    def post(self, path: str, body: bytes = b"[]", **headers: str) -> Answered:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Content-Type", "application/json")
        return self.ask("POST", path, body, named)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=20)

    def raw(self, *pieces: bytes, end: bool = True) -> bytes:
        """What comes back for these bytes, until the server hangs up."""
        with self.connect() as sock:
            received = b""
            try:
                for piece in pieces:
                    sock.sendall(piece)
                if end:
                    sock.shutdown(socket.SHUT_WR)
                while data := sock.recv(65536):
                    received += data
            except ConnectionError:
                pass
            return received


@contextmanager
def running(
    intake: str, *additional: str, variables: dict[str, str] | None = None, **options: Any
) -> Iterator[Running]:
    """A forwarder to these intakes, on a free port."""
    options.setdefault("timeout", 5.0)
    options.setdefault("grace", 4.0)
    settings = Settings.from_env(environ(intake, *additional, **(variables or {})), **options)
    column = Counters(SLOTS).column()
    app = Forwarder(settings, column)
    forwarder = Running(app, Server(app, settings, ["127.0.0.1:0"], column), column)
    try:
        yield forwarder
    finally:
        forwarder.stop()


def on_disk(intake: str, folder: Path, *additional: str, **options: Any) -> Any:
    """As `running`, with its queue in a folder."""
    options.setdefault("queue_min_free", 1)
    return running(intake, *additional, queue=f"disk:{folder}", **options)


def statuses(received: bytes) -> list[int]:
    """Of the responses in what `Running.raw` received."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]
