"""Connections through a proxy: tunnels (CONNECT) and SOCKS."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ..runtime.lazy_import import load
from .connections import Connection
from .deadline import RequestDeadline
from .failures import ProxyFailed
from .http1 import ResponseReader, request_head
from .name_resolution import Resolver
from .routes import Proxy, ResolvedRoute
from .streams import Stream

DialSocks = Callable[[Proxy, str, int, Resolver, RequestDeadline, float], socket.socket]

_NEEDS_PYSOCKS = "a SOCKS proxy needs PySocks; install it with: pip install 'requests[socks]'"


def open_tunnel(
    stream: Stream, route: ResolvedRoute, proxy: Proxy, deadline: RequestDeadline, until: float
) -> None:
    """Ask the proxy at the other end for a tunnel to the origin (RFC 9110, 9.3.6).

    Raises:
        ProxyFailed: the proxy refused the tunnel.
    """
    host = f"[{route.host}]" if ":" in route.host else route.host
    authority = f"{host}:{route.port}"
    head = request_head("CONNECT", authority, authority, proxy.headers)
    reader = ResponseReader(0, head_only=True)
    Connection(stream).exchange(head, None, reader, deadline, deadline.remaining(until))
    status = reader.status or 0
    if status == 407:
        raise ProxyFailed("the proxy requires credentials, or refused them (407)")
    if not 200 <= status < 300:
        raise ProxyFailed(f"the proxy refused the tunnel ({status})")
    if reader.surplus:
        raise ProxyFailed("the proxy sent data of its own in the tunnel")


def open_socks(
    proxy: Proxy,
    route: ResolvedRoute,
    resolver: Resolver,
    deadline: RequestDeadline,
    until: float,
) -> socket.socket:
    """A connection to the origin through a SOCKS proxy.

    Raises:
        ProxyFailed: the proxy refused the connection, or PySocks is not installed.
    """
    try:
        dial_socks: DialSocks = load(f"{__package__}.socks_proxy", "dial_socks")
    except ImportError:
        raise ProxyFailed(_NEEDS_PYSOCKS) from None
    return dial_socks(proxy, route.host, route.port, resolver, deadline, until)
