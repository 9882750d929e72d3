"""The intake's server: a thread that listens, and one for each connection."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

from ..units import MiB, parse_size
from .app import create_app
from .arrivals import Arrivals
from .connection import Connection
from .faults import FaultInjection
from .findings import FindingsFunction, PayloadFindings
from .origins import is_loopback
from .remote_config import ProbeFile
from .store import Store

#: Maximum connections; further ones wait to be accepted.
_MAX_CONNECTIONS = 256
#: Seconds that `stop` waits for responses in progress.
_STOP = 2.0


class Intake(Arrivals):
    """A local intake, and the requests that it received.

    Args:
        host: the address to listen on; unless it is a loopback address, other machines can
            read what arrives.
        port: the port to listen on; 0: a free one.
        store: where requests are stored. None: a `Store` with its defaults.
        faults: plans of injected faults, as for `inject`.
        max_body: bytes of a request's body, or with a unit: ``"32MiB"``; a larger one is
            answered 413.
        probes: a file of probes to serve as remote configuration.
        findings: returns the findings in a decoded payload of a track. None: those of
            `livedebug_sender.lint`.

    Raises:
        OSError: it can't listen there (the port is in use, ...).
        ValueError: the faults, the file of probes or the bound are invalid.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        store: Store | None = None,
        faults: str = "",
        max_body: int | str = 32 * MiB,
        probes: str | Path | None = None,
        findings: FindingsFunction | None = None,
    ) -> None:
        max_bytes = parse_size("max_body", max_body)
        known = PayloadFindings(findings)
        super().__init__(Store() if store is None else store, known)
        self._faults = FaultInjection(faults)
        probe_file = None if probes is None else ProbeFile(probes)
        self._stopping = threading.Event()
        self._listener = _listening(host, port)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{_reachable(host)}:{self.port}"
        self._app = create_app(
            self.store,
            loopback=is_loopback(host),
            max_body=max_bytes,
            faults=lambda: self._faults,
            inject=self.inject,
            probes=probe_file,
            findings=known,
            stopping=self._stopping,
        )
        self._room = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        # Protects the open connections and their threads, which start and end independently.
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._accepting = threading.Thread(
            target=self._accept, name="livedebug-intake", daemon=True
        )

    def start(self) -> None:
        self._accepting.start()

    def stop(self) -> None:
        """Close all connections, and free the port; call it once."""
        self._stopping.set()
        with self.store.news:
            self.store.news.notify_all()  # the streams of events
        self._wake()
        self._accepting.join()
        self._listener.close()
        with self._lock:
            left = dict(self._open)
        for sock in left.values():
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in left:
            thread.join(_STOP)

    def __enter__(self) -> Intake:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def faults(self) -> str:
        """The active fault plan; empty: no faults."""
        return self._faults.left()

    def inject(self, faults: str = "") -> None:
        """Inject faults from now on: ``"503 twice, then good"``, ``"no v2"``.

        Without arguments, inject none. `livedebug_sender.intake.faults` has the language.

        Raises:
            ValueError: the message says what was given and what is expected.
        """
        self._faults = FaultInjection(faults)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            self._room.acquire()
            try:
                sock, _ = self._listener.accept()
            except OSError:  # the client disconnected before it was accepted; or too many files
                self._room.release()
                self._stopping.wait(0.01)
                continue
            thread = threading.Thread(
                target=self._serve, args=(sock,), name="livedebug-intake-connection", daemon=True
            )
            with self._lock:
                self._open[thread] = sock
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock:
                Connection(sock, self._app, lambda: self._faults, self._stopping).serve()
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
            self._room.release()

    def _wake(self) -> None:
        """Make `accept` return, by a connection to ourselves, which works on every system."""
        address = self._listener.getsockname()
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])
        with suppress(OSError), socket.create_connection((host, self.port), timeout=1.0):
            pass


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # IPv4 first: it is what "localhost" means to most tracers.
    family = min((one[0] for one in found), key=lambda family: family != socket.AF_INET)
    return socket.create_server((host, port), family=family, backlog=1024)


def _reachable(host: str) -> str:
    """A host for URLs: a loopback address instead of 0.0.0.0."""
    if host in ("", "0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
