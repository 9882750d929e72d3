"""Opening a connection along a route: TCP, proxies, TLS."""

from __future__ import annotations

from ..runtime.host_signals import reraise_of_signal_handler
from .connections import Connection
from .deadline import RequestDeadline
from .failures import ProxyFailed
from .name_resolution import Resolver
from .proxies import open_socks, open_tunnel
from .routes import Proxy, ResolvedRoute
from .sockets import dial_tcp, dial_unix
from .streams import NestedTLSStream, PlainStream, Stream, start_tls


def connect(
    route: ResolvedRoute, resolver: Resolver, deadline: RequestDeadline, timeout: float
) -> Connection:
    """Open a connection along a route.

    Args:
        timeout: seconds in total, for name resolution, all addresses, the proxy and TLS.

    Raises:
        OSError, ProtocolError: `failures.reason` turns them into a human-readable reason.
    """
    until = deadline.until(timeout)
    if route.unix_path is not None:
        return Connection(PlainStream(dial_unix(route.unix_path, deadline, until)))
    if route.proxy is None:
        return Connection(_direct(route, resolver, deadline, until))
    return Connection(_by_proxy(route, route.proxy, resolver, deadline, until))


def _direct(
    route: ResolvedRoute, resolver: Resolver, deadline: RequestDeadline, until: float
) -> Stream:
    sock = dial_tcp(route.host, route.port, resolver, deadline, until)
    if route.context is None:
        return PlainStream(sock)
    return start_tls(sock, route.context, _server_name(route.host), deadline, until)


def _by_proxy(
    route: ResolvedRoute,
    proxy: Proxy,
    resolver: Resolver,
    deadline: RequestDeadline,
    until: float,
) -> Stream:
    name = _server_name(route.host)
    if proxy.is_socks:
        sock = open_socks(proxy, route, resolver, deadline, until)
        if route.context is None:
            return PlainStream(sock)
        return start_tls(sock, route.context, name, deadline, until)
    try:
        sock = dial_tcp(proxy.host, proxy.port, resolver, deadline, until)
    except TimeoutError:
        raise
    except OSError as error:
        reraise_of_signal_handler(error)
        if deadline.aborted:
            raise
        raise ProxyFailed("the proxy can't be reached") from None
    if route.proxy_context is None:
        to_proxy: Stream = PlainStream(sock)
    else:
        proxy_name = _server_name(proxy.host)
        to_proxy = start_tls(sock, route.proxy_context, proxy_name, deadline, until)
    if route.context is None:
        return to_proxy  # for http the proxy forwards requests, without a tunnel
    try:
        open_tunnel(to_proxy, route, proxy, deadline, until)
        if route.proxy_context is None:
            return start_tls(sock, route.context, name, deadline, until)
        nested = NestedTLSStream(to_proxy, route.context, name)
        nested.handshake(deadline, until)
    except BaseException:
        to_proxy.close()
        raise
    return nested


def _server_name(host: str) -> str:
    """The name to verify in a certificate: without the zone of an IPv6 address."""
    return host.partition("%")[0].rstrip(".") if ":" in host else host.rstrip(".")
