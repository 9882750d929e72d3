"""A production server for the forwarder: waitress, over TCP or Unix sockets."""

from __future__ import annotations

import logging
import os
import re
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import ConfigError
from .application import Forwarder
from .settings import MAX_HEAD, PASS_THROUGH, Settings

try:
    from waitress import wasyncore
    from waitress.adjustments import Adjustments
    from waitress.task import ThreadedTaskDispatcher

    from .strict import Incoming, StrictTcpServer, StrictUnixServer
except ImportError as error:  # pragma: no cover - the tests have the extra
    raise ConfigError(
        "the server needs waitress: pip install 'livedebug-sender[forwarder]'"
    ) from error

logger = logging.getLogger("livedebug_sender")
# Else there is a line for each request that waits for a thread.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

#: Where tracers look for an agent; this machine only.
DEFAULT_LISTEN = "127.0.0.1:8126"
#: As with loopback TCP: whoever is on this machine may send.
SOCKET_MODE = 0o666

# Threads beyond `max_at_once`: for /health and /metrics, and to say 503.
_SPARE_THREADS = 4
_CONNECTIONS = 1000
# File descriptors for all that is neither a tracer's connection nor one to an intake.
_SPARE_FILES = 64
_IDLE_TIMEOUT = 120
_LOOK_EVERY = 1.0
#: Seconds for idle threads to end.
_TO_LEAVE = 0.5
#: Seconds for the last copies to additional endpoints, of the time to finish.
_LAST_COPIES = 1.0
_TCP = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})\Z")


class Server:
    """Serves a forwarder at addresses, from `run` until `stop`.

    Args:
        listen: each ``host:port`` (port 0: a free one) or ``unix:/path/to.sock``.

    Raises:
        ConfigError: for an address that is none, or can't be had.
    """

    def __init__(self, app: Forwarder, settings: Settings, listen: Sequence[str]) -> None:
        self._app = app
        self._settings = settings
        self._map: dict[int, Any] = {}
        self._stopping = False
        self._sockets: list[str] = []
        self._dispatcher = ThreadedTaskDispatcher()
        self._servers: list[Any] = []
        self._connections = _room_for_connections(settings)
        self._incoming = Incoming(settings.max_at_once_bytes)
        try:
            for address in listen:
                self._servers += self._open(address)
        except BaseException:
            self._close()
            raise
        # Not before all addresses are ours.
        self._dispatcher.set_thread_count(settings.max_at_once + _SPARE_THREADS)

    @property
    def addresses(self) -> list[str]:
        """Where it listens, in the form of `listen`."""
        return [_address(server.socket) for server in self._servers]

    def run(self) -> bool:
        """Serve until `stop`, then finish; True if all that was held was delivered."""
        while not self._stopping:
            self._turn(_LOOK_EVERY)
        return self._finish(time.monotonic() + self._settings.grace)

    def stop(self) -> None:
        """Let `run` finish; from any thread or signal handler."""
        if self._stopping:
            return
        self._stopping = True
        for server in self._servers:
            server.pull_trigger()

    def _turn(self, timeout: float) -> None:
        wasyncore.loop(timeout, use_poll=True, map=self._map, count=1)

    def _finish(self, until: float) -> bool:
        """No new connections; answer what came in; deliver what is held."""
        self._app.end_soon()
        for server in self._servers:
            wasyncore.dispatcher.close(server)  # and not its trigger, which is still needed
        self._unlink()
        answer_until = until - self._to_deliver(max(0.0, until - time.monotonic()))
        while self._channels() and time.monotonic() < answer_until:
            for channel in self._channels():
                channel.will_close = channel.will_close or not channel.busy
            self._turn(0.05)
        delivered = self._app.close(max(0.0, until - time.monotonic()))
        self._dispatcher.shutdown(timeout=max(_TO_LEAVE, until - time.monotonic()))
        unanswered = sum(channel.busy for channel in self._channels())
        if unanswered:
            logger.warning("stopping with %d requests unanswered", unanswered)
        if not self._dispatcher.threads:  # else one may still ring, with a number reused by then
            self._close()
        return delivered and not unanswered

    def _to_deliver(self, seconds: float) -> float:
        """Of so many seconds to finish, those for what is held once all is answered."""
        if self._settings.mode == PASS_THROUGH:  # its answers are what is held
            return min(_LAST_COPIES, seconds / 4)
        return seconds / 2

    def _close(self) -> None:
        wasyncore.close_all(self._map)
        self._unlink()

    def _unlink(self) -> None:
        while self._sockets:
            Path(self._sockets.pop()).unlink(missing_ok=True)

    def _channels(self) -> list[Any]:
        return [one for server in self._servers for one in server.active_channels.values()]

    def _open(self, address: str) -> list[Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "ident": None,
            "connection_limit": self._connections,
            "channel_timeout": _IDLE_TIMEOUT,
            "cleanup_interval": 1,
            "max_request_header_size": MAX_HEAD,
            # waitress refuses what is as large as that.
            "max_request_body_size": settings.max_body_bytes + 1,
            # In memory, never in a file: `Incoming` bounds them.
            "inbuf_overflow": settings.max_body_bytes + MAX_HEAD,
            "log_socket_errors": False,
            "asyncore_use_poll": True,
            # They go on, as with the Agent; nothing here goes by them.
            "clear_untrusted_proxy_headers": False,
        }
        try:
            if address.startswith("unix:"):
                return [self._open_unix(address, options)]
            return self._open_tcp(address, options)
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"can't listen on {address!r:.200}: {error}") from None

    def _open_tcp(self, address: str, options: dict[str, Any]) -> list[Any]:
        match = _TCP.match(address)
        if not match or int(match["port"]) > 65535:
            raise ConfigError(
                f"the address is {address!r:.80}; wanted: host:port, such as {DEFAULT_LISTEN}, "
                "or unix:/path/to.sock"
            )
        adjustments = Adjustments(listen=address, **options)
        return [
            self._made(StrictTcpServer, adjustments, sockinfo) for sockinfo in adjustments.listen
        ]

    def _open_unix(self, address: str, options: dict[str, Any]) -> Any:
        path = address.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise ConfigError(f"the address is {address!r:.80}; wanted: unix:/path/to.sock")
        if _is_served(path):
            raise ConfigError(f"can't listen on {address!r:.200}: another process does")
        adjustments = Adjustments(unix_socket=path, unix_socket_perms=f"{SOCKET_MODE:o}", **options)
        sockinfo = (socket.AF_UNIX, socket.SOCK_STREAM, None, None)
        server = self._made(StrictUnixServer, adjustments, sockinfo)
        self._sockets.append(path)
        return server

    def _made(self, kind: type[Any], adjustments: Any, sockinfo: Any) -> Any:
        adjustments.incoming = self._incoming
        server = kind(
            self._app,
            map=self._map,
            dispatcher=self._dispatcher,
            adj=adjustments,
            sockinfo=sockinfo,
        )
        server.receive_timeout = self._settings.receive_timeout
        return server


@contextmanager
def stopped_by_signals(server: Server) -> Iterator[None]:
    """SIGTERM and SIGINT stop the server, once; the second time they kill."""

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        server.stop()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _room_for_connections(settings: Settings) -> int:
    """How many tracers' connections there may be, each of which takes a file descriptor.

    One more than there are descriptors, and requests that came in can't go on.

    Raises:
        ConfigError: if there is no room for the requests that may be in hand.
    """
    others = 2 * settings.max_at_once + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = others + _CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = _CONNECTIONS if soft == resource.RLIM_INFINITY else min(_CONNECTIONS, soft - others)
    if room < settings.max_at_once:
        raise ConfigError(
            f"max_at_once is {settings.max_at_once}, but the limit of open files (ulimit -n) is "
            f"{hard}; wanted: at least {others + settings.max_at_once}, or a lower max_at_once"
        )
    return room


def _address(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def _is_served(path: str) -> bool:
    """Does somebody answer at this socket? A stale one is taken over."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(path)
        except OSError:
            return False
    return True
