"""The intake on a port, on a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any

from waitress import create_server, wasyncore

from ..protocol.tracks import Track
from ..units import MiB
from .app import create_app
from .browsers import is_loopback
from .misbehaving import Misbehaviour, parse_misbehaviour
from .store import Kept, Store

#: Requests at once; one that is delayed on purpose holds its thread.
_THREADS = 16


class Intake:
    """A local intake, and what arrived there.

    Args:
        host: where to listen; others than this machine can see what arrives unless it
            is an address of loopback.
        port: 0: a free one.
        max_body: bytes of a request's body; a larger one is answered 413.

    Raises:
        OSError: nobody can listen there (the port is taken, ...).
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        store: Store | None = None,
        misbehaviour: Misbehaviour | None = None,
        max_body: int = 32 * MiB,
    ) -> None:
        self.store = Store() if store is None else store
        self.misbehaviour = Misbehaviour() if misbehaviour is None else misbehaviour
        self._stopping = threading.Event()
        self._socket = _listening(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{_reachable(host)}:{self.port}"
        app = create_app(
            self.store,
            lambda: self.misbehaviour,
            loopback=is_loopback(host),
            max_body=max_body,
            pause=self._stopping.wait,
        )
        self._map: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._map,
            sockets=[self._socket],
            threads=_THREADS,
            # So that the app itself meets what is a little too large, and can show it.
            max_request_body_size=4 * max_body,
            ident=None,
        )
        self._thread = threading.Thread(target=self._serve, name="livedebug-intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Hang up, and free the port. Once."""
        self._stopping.set()
        self._server.pull_trigger()
        self._thread.join()
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._map, ignore_all=True)

    def __enter__(self) -> Intake:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def requests(self) -> list[Kept]:
        """The requests that are kept, in the order they came, refused ones too."""
        return self.store.kept()

    def payloads(self, track: Track | str | None = None) -> list[Any]:
        """The decoded payloads of the requests that were taken, in the order they came.

        Args:
            track: of that track only.
        """
        wanted = None if track is None else Track(track)
        return [
            payload.value
            for kept in self.requests
            if kept.taken
            for payload in kept.payloads
            if wanted in (None, payload.glance.track)
        ]

    def wait_for(
        self, n: int, timeout: float = 10.0, track: Track | str | None = None
    ) -> list[Any]:
        """Wait until `n` payloads were taken, for `timeout` seconds; give all there are.

        Raises:
            AssertionError: they did not come; says what did.
        """
        with self.store.news:
            self.store.news.wait_for(lambda: self._count(track) >= n, timeout)
        found = self.payloads(track)
        if len(found) < n:
            of_track = "" if track is None else f" of {track}"
            raise AssertionError(
                f"waited {timeout:g} s for {n} payloads{of_track}; there are {len(found)}, "
                f"and of all tracks {self._count(None)} in {len(self.requests)} requests, "
                f"answered {[kept.status for kept in self.requests][-10:]}"
            )
        return found

    def misbehave(self, fail: str | Sequence[str] = (), delay: str = "0s") -> None:
        """Refuse (``"503:0.2"``: 503 to a fifth) and delay (``"200ms"``) from now on.

        Without arguments it behaves again. `ValueError` for what can't be meant.
        """
        failures = (fail,) if isinstance(fail, str) else tuple(fail)
        self.misbehaviour = parse_misbehaviour(failures, delay)

    def _count(self, track: Track | str | None) -> int:
        glances = [glance for kept in self.requests if kept.taken for glance in kept.glances]
        return len(glances) if track is None else sum(g.track == track for g in glances)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(timeout=1.0, use_poll=True, map=self._map, count=1)


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # IPv4 first: it is what "localhost" means to most tracers.
    family = min((one[0] for one in found), key=lambda family: family != socket.AF_INET)
    return socket.create_server((host, port), family=family, backlog=1024)


def _reachable(host: str) -> str:
    """A host for URLs: 0.0.0.0 is everywhere, so also here."""
    if host in ("", "0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
