"""SOCKS proxies, by PySocks, bounded in time. Imported only if such a proxy is used."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

import socks

from ..runtime.host_signals import reraise_of_signal_handler
from .deadline import RequestDeadline
from .failures import ProxyFailed
from .name_resolution import Resolver
from .routes import Proxy
from .streams import shut_down

_KINDS = {
    "socks4": socks.SOCKS4,
    "socks4a": socks.SOCKS4,
    "socks5": socks.SOCKS5,
    "socks5h": socks.SOCKS5,
}
#: Schemes whose proxies resolve the origin's name.
_LOOKS_UP = ("socks4a", "socks5h")


class TimedSocksSocket(socks.socksocket):  # type: ignore[misc]
    """A socket whose timeout limits the whole exchange with the proxy, not each read."""

    deadline: RequestDeadline
    until: float

    def recv_into(self, *args: Any) -> int:
        socket.socket.settimeout(self, self.deadline.remaining(self.until))
        return int(super().recv_into(*args))


def dial_socks(
    proxy: Proxy,
    host: str,
    port: int,
    resolver: Resolver,
    deadline: RequestDeadline,
    until: float,
) -> socket.socket:
    """Connect to the origin through the first of the proxy's addresses that works."""
    by_proxy = proxy.scheme in _LOOKS_UP
    if not by_proxy:
        # PySocks would resolve it without a timeout, and supports only IPv4.
        found = resolver.resolve(host, port, deadline, until)
        host = next((at[4][0] for at in found if at[0] == socket.AF_INET), found[0][4][0])
    problem: OSError | None = None
    addresses = resolver.resolve(proxy.host, proxy.port, deadline, until)
    for tried, (family, _, _, _, address) in enumerate(addresses):
        sock = TimedSocksSocket(family)
        try:
            deadline.interrupted_by(partial(shut_down, sock))
            sock.deadline, sock.until = deadline, until
            sock.set_proxy(
                _KINDS[proxy.scheme],
                *address[:2],
                by_proxy,
                proxy.username or None,
                proxy.password or None,
            )
            sock.settimeout(deadline.remaining(until) / (len(addresses) - tried))
            sock.connect((host, port))
            # Continue with a plain socket: reading through PySocks is slower.
            plain = socket.socket(fileno=sock.detach())
            deadline.interrupted_by(partial(shut_down, plain))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socks.ProxyError as error:
            sock.close()
            if error.socket_err is not None:
                reraise_of_signal_handler(error.socket_err)
            problem = _plain_error(error)
        except BaseException:
            sock.close()
            raise
        else:
            return plain
    raise problem or ProxyFailed("the SOCKS proxy has no address")


def _plain_error(error: socks.ProxyError) -> OSError:
    cause = error.socket_err
    if isinstance(cause, (TimeoutError, ConnectionAbortedError)):
        return cause
    if isinstance(error, socks.ProxyConnectionError):
        return ProxyFailed("the proxy can't be reached")
    if isinstance(error, (socks.SOCKS5AuthError, socks.SOCKS4Error)):
        return ProxyFailed("the SOCKS proxy refused its credentials, or the connection")
    return ProxyFailed("the SOCKS proxy refused the connection")
