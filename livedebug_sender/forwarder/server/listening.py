"""Listening sockets, and the connections that they accept."""

from __future__ import annotations

import errno
import os
import re
import resource
import select
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ...errors import ConfigError
from ...runtime.log_limiter import LogLimiter
from ..settings import Settings

#: Where tracers look for an agent; this machine only.
DEFAULT_LISTEN = "127.0.0.1:8126"
#: As with loopback TCP: every user of this machine may send.
SOCKET_MODE = 0o666
#: Maximum number of connections, as in the Agent.
MAX_CONNECTIONS = 1000

_BACKLOG = 1024
#: Connections accepted from one socket before the others get their turn.
_TURN = 64
#: Seconds until it is checked again whether another connection may be accepted.
_PLACE_EVERY = 0.05
# File descriptors for everything except connections of tracers and connections to intakes.
_SPARE_FILES = 64
#: Errors of `accept` for lack of resources; the connection stays in the queue.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TCP = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})\Z")


class Listeners:
    """Listening sockets at addresses.

    Args:
        listen: each ``host:port`` (port 0: a free one) or ``unix:/path/to.sock``.

    Raises:
        ConfigError: an address is invalid, or can't be listened on.
    """

    def __init__(self, listen: Sequence[str]) -> None:
        self._sockets: list[socket.socket] = []
        self._paths: list[str] = []
        self._poll = select.poll()
        self._log = LogLimiter()
        try:
            for address in listen:
                for sock in self._open(address):
                    sock.setblocking(False)
                    self._poll.register(sock, select.POLLIN)
        except BaseException:
            self.close()
            raise
        self._by_number = {sock.fileno(): sock for sock in self._sockets}
        self.addresses = [_address(sock) for sock in self._sockets]

    def accept(
        self, timeout: float, places: int, wakers: Sequence[socket.socket]
    ) -> list[socket.socket]:
        """New connections; none on timeout, or if one of the wakers is readable.

        Args:
            places: how many may be accepted; others wait in the system's queue.
        """
        if places <= 0:
            select.select(wakers, [], [], min(timeout, _PLACE_EVERY))
            return []
        for waker in wakers:
            self._poll.register(waker, select.POLLIN)
        ready = self._poll.poll(timeout * 1000)
        for waker in wakers:
            self._poll.unregister(waker)
        accepted: list[socket.socket] = []
        for number, _ in ready:
            sock = self._by_number.get(number)
            try:
                while sock is not None and len(accepted) < min(places, _TURN):
                    accepted.append(sock.accept()[0])
            except OSError as error:  # none left, or the client disconnected
                if error.errno in _EXHAUSTED:
                    self._log.note(error.errno, f"can't accept connections: {error.strerror}")
                    self._log.report()
                    # The socket stays readable: without a pause this would be a busy loop.
                    select.select(wakers, [], [], min(timeout, _PLACE_EVERY))
        return accepted

    @property
    def crowded(self) -> bool:
        """Whether a connection waits to be accepted."""
        return bool(self._poll.poll(0))

    def release(self) -> None:
        """Close them in this process; other processes may keep listening."""
        for sock in self._sockets:
            sock.close()

    def close(self) -> None:
        self.release()
        for path in self._paths:
            Path(path).unlink(missing_ok=True)

    def _open(self, address: str) -> list[socket.socket]:
        check_address(address)
        try:
            if address.startswith("unix:"):
                return [self._open_unix(address)]
            return self._open_tcp(address)
        except (OSError, OverflowError, UnicodeError) as error:
            raise ConfigError(f"can't listen on {address!r:.200}: {error}") from None

    def _open_tcp(self, address: str) -> list[socket.socket]:
        host, _, port = address.rpartition(":")
        flags = socket.AI_PASSIVE
        found = socket.getaddrinfo(host.strip("[]"), int(port), 0, socket.SOCK_STREAM, 0, flags)
        opened = []
        for family, kind, protocol, _, name in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            self._sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(name)
            sock.listen(_BACKLOG)
            opened.append(sock)
        return opened

    def _open_unix(self, address: str) -> socket.socket:
        path = _path_of(address)
        if _is_served(path):
            raise ConfigError(f"can't listen on {address!r:.200}: another process does")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sockets.append(sock)
        if Path(path).is_socket():
            Path(path).unlink()
        sock.bind(path)
        self._paths.append(path)
        os.chmod(path, SOCKET_MODE)
        sock.listen(_BACKLOG)
        return sock


def check_address(address: str) -> None:
    """Raise ConfigError for what is neither ``host:port`` nor ``unix:/path/to.sock``."""
    if address.startswith("unix:"):
        if not _path_of(address).startswith("/"):
            raise ConfigError(f"the address is {address!r:.80}; expected: unix:/path/to.sock")
        return
    match = _TCP.match(address)
    if not match or int(match["port"]) > 65535:
        raise ConfigError(
            f"the address is {address!r:.80}; expected: host:port, such as {DEFAULT_LISTEN}, "
            "or unix:/path/to.sock"
        )


def room_for_connections(settings: Settings) -> int:
    """The maximum number of tracers' connections, each of which needs a file descriptor.

    If descriptors ran out, requests that were received could not be forwarded.

    Raises:
        ConfigError: there are not enough for the requests that may be in flight.
    """
    primaries = [endpoints[0].url for endpoints in settings.destinations.values()]
    # One for each request in flight; each thread keeps a connection to each intake it has used.
    intakes = len({urlsplit(url)[:2] for url in primaries})
    others = max(2, intakes) * settings.max_at_once + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = others + MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = (
        MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft - others)
    )
    if room < settings.max_at_once:
        raise ConfigError(
            f"max_at_once is {settings.max_at_once}, but the limit of open files (ulimit -n) is "
            f"{hard}; expected: at least {others + settings.max_at_once}, or a lower max_at_once"
        )
    return room


def _path_of(address: str) -> str:
    return address.removeprefix("unix:").removeprefix("//")


def _address(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def _is_served(path: str) -> bool:
    """Whether a server listens on this Unix socket; a stale socket is replaced."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(path)
        except OSError:
            return False
    return True
