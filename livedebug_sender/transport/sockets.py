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

#: Connects a socket to an address that `getaddrinfo` gave.
Connect = Callable[[socket.socket, Any], None]


def dial_tcp(
    host: str, port: int, resolver: Resolver, deadline: RequestDeadline, until: float
) -> socket.socket:
    """A connection to a host, by the first of its addresses that accepts it.

    All of them share the time, where urllib3 would give each the whole timeout.
    """
    error: OSError | None = None
    addresses = resolver.resolve(host, port, deadline, until)
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        # A share each: an address that does not answer leaves time for the next.
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
    raise error or NoSuchHost


def dial_unix(path: str, deadline: RequestDeadline, until: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    return connected(sock, path, deadline.remaining(until), deadline)


def connected(
    sock: socket.socket, address: Any, timeout: float, deadline: RequestDeadline
) -> socket.socket:
    """The socket, once it is connected; else it is closed."""
    try:
        deadline.interrupted_by(lambda: shut_down(sock))
        sock.settimeout(timeout)
        sock.connect(address)
        # Asked again: a socket that is not connected yet can't be shut down.
        deadline.interrupted_by(lambda: shut_down(sock))
    except BaseException:
        sock.close()
        raise
    return sock
