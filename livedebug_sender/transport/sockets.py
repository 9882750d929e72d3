"""Connected sockets: to the addresses of a host, or to a Unix socket."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from ..runtime.host_signals import reraise_of_signal_handler
from .deadline import RequestDeadline
from .failures import NoSuchHost
from .name_resolution import Resolver
from .streams import shut_down

#: Connects a socket to an address returned by `getaddrinfo`.
Connect = Callable[[socket.socket, Any], None]


def dial_tcp(
    host: str, port: int, resolver: Resolver, deadline: RequestDeadline, until: float
) -> socket.socket:
    """Connect to the first address of a host that accepts the connection.

    All addresses share the timeout; urllib3 would give each the whole of it.
    """
    error: OSError | None = None
    addresses = resolver.resolve(host, port, deadline, until)
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        # An equal share for each, so that an unresponsive address leaves time for the next.
        share = max(0.001, deadline.remaining(until) / (len(addresses) - tried))
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected(sock, address, share, deadline)
        except OSError as failed:
            reraise_of_signal_handler(failed)
            if deadline.aborted:
                raise
            error = failed
    try:
        raise error or NoSuchHost
    finally:
        # Its traceback refers to this frame, and to those of the callers with the request: in a
        # cycle they would stay in memory until the garbage collector runs.
        del error


def dial_unix(path: str, deadline: RequestDeadline, until: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    return connected(sock, path, deadline.remaining(until), deadline)


def connected(
    sock: socket.socket, address: Any, timeout: float, deadline: RequestDeadline
) -> socket.socket:
    """Connect a socket and return it; it is closed if that fails."""
    try:
        deadline.interrupted_by(lambda: shut_down(sock))
        sock.settimeout(timeout)
        sock.connect(address)
        # Again: before it was connected, `abort` could not shut it down.
        deadline.interrupted_by(lambda: shut_down(sock))
    except BaseException:
        sock.close()
        raise
    return sock
