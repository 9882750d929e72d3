"""urllib3's connections and pools, under a `Guard`.

urllib3 makes the connections; what is said on them is said in a shorter way, in half the
time (see exchange.py). Only behind a proxy urllib3 does that too.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
)

from .deadline import Guard, TimedSocket
from .http1 import Heard, LeanResponse, request_head

#: Bytes of a body that goes out in one write with its head.
_ONE_WRITE = 64 * 1024


class Guarded:
    """Mixed into urllib3's connections."""

    guard: Guard
    sock: Any
    timeout: Any
    #: Has this connection brought an answer since it was made?
    used = False
    host: str
    port: int
    default_port: int

    def connect(self) -> None:
        self.used = False
        timeout = self.timeout
        self.timeout = self.guard.left(float(timeout))
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self.timeout = timeout

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str | bytes],
        body: bytes | Iterable[bytes] | None,
    ) -> Heard:
        """A request and its answer, on an open connection."""
        self.guard.reused = self.used
        head = request_head(method, url, {"Host": self._host_header(), **headers})
        if body is None or (isinstance(body, bytes) and len(body) <= _ONE_WRITE):
            self.send(head + (body or b""))
        else:
            self.send(head)
            for piece in (body,) if isinstance(body, bytes) else body:
                self.send(piece)
                del piece  # or the next one needs memory of its own, page by page
        until = time.monotonic() + self.guard.left(float(self.timeout))
        timed = TimedSocket(self.sock, until)
        response = LeanResponse(timed, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            timed.reader.in_head = False
            heard = Heard(response.status, response.plain_headers, response.read_beginning())
            if response.will_close or not response.isclosed():
                self.close()  # type: ignore[attr-defined]
            self.used = True
            return heard
        finally:
            response.close()

    def _host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == self.default_port else f"{host}:{self.port}"

    def request(self, *args: Any, **options: Any) -> None:
        self.guard.reused = self.used and self.sock is not None
        super().request(*args, **options)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.guard.sock = self.sock
        self.sock.settimeout(self.guard.left(float(self.timeout)))
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        sock = self.sock
        until = time.monotonic() + self.guard.left(float(self.timeout))
        timed = TimedSocket(sock, until)
        self.sock = timed
        try:
            response = super().getresponse()  # type: ignore[misc]
            timed.reader.in_head = False
            self.used = True
            return response
        finally:
            if self.sock is not None:  # else http.client has closed it
                self.sock = sock


class Dialling(Guarded):
    """Mixed into connections to a host, which may have many addresses.

    urllib3 gives each of them the whole timeout; here they share one.
    """

    _dns_host: str
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        until = time.monotonic() + float(self.timeout)
        error: OSError | None = None
        addresses = self._addresses()
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            # A share each, so that one that swallows packets leaves time for the next.
            share = max(0.001, (until - time.monotonic()) / (len(addresses) - tried))
            try:
                return self._dial(family, kind, protocol, address, share)
            except OSError as failed:
                error = failed
                if self.guard.aborted:
                    break
        if isinstance(error, TimeoutError):
            raise ConnectTimeoutError(self, "timed out") from error
        raise NewConnectionError(self, "no connection") from error  # type: ignore[arg-type]

    def _addresses(self) -> list[Any]:
        try:
            return socket.getaddrinfo(self._dns_host, self.port, 0, socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except UnicodeError:
            raise LocationParseError(self.host) from None

    def _dial(
        self, family: int, kind: int, protocol: int, address: Any, timeout: float
    ) -> socket.socket:
        sock = socket.socket(family, kind, protocol)
        self.guard.sock = sock  # from here on `cut` ends the wait
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(timeout)
            sock.connect(address)
            sock.settimeout(float(self.timeout))
        except BaseException:
            sock.close()
            raise
        return sock


class PlainConnection(Dialling, HTTPConnection):
    """HTTP."""


class TLSConnection(Dialling, HTTPSConnection):
    """HTTPS."""


class UnixConnection(Guarded, HTTPConnection):
    """HTTP over a Unix socket."""

    path: str

    def connect(self) -> None:
        self.used = False
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.guard.left(float(self.timeout)))
            sock.connect(self.path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class ExchangePool:
    """Mixed into urllib3's pools: it makes the connections, `exchange` does the talking.

    Through a proxy urllib3 does both.
    """

    proxy: Any

    def urlopen(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        *,
        timeout: Any,
        **options: Any,
    ) -> Any:
        connection = None if self.proxy is not None else self._get_conn()  # type: ignore[attr-defined]
        if connection is None or connection.guard.whole_answers:
            if connection is not None:
                self._put_conn(None if connection.is_closed else connection)  # type: ignore[attr-defined]
            return super().urlopen(method, url, body, headers, timeout=timeout, **options)  # type: ignore[misc]
        try:
            connection.timeout = timeout.connect_timeout
            if connection.is_closed:
                connection.connect()
            return connection.exchange(method, url, headers, body)
        except HTTPException as error:
            connection.close()
            raise ProtocolError("no answer", error) from error
        except BaseException:
            connection.close()
            raise
        finally:
            self._put_conn(connection)  # type: ignore[attr-defined]


def pool_classes(guard: Guard) -> dict[str, Any]:
    """urllib3's pools by scheme, with connections under this guard."""
    plain = type("PlainConnection", (PlainConnection,), {"guard": guard})
    tls = type("TLSConnection", (TLSConnection,), {"guard": guard})
    return {
        "http": type("PlainPool", (ExchangePool, HTTPConnectionPool), {"ConnectionCls": plain}),
        "https": type("TLSPool", (ExchangePool, HTTPSConnectionPool), {"ConnectionCls": tls}),
    }


def unix_pool(path: str, guard: Guard) -> HTTPConnectionPool:
    """A pool of connections to the Unix socket at `path`."""
    connection = type("UnixConnection", (UnixConnection,), {"guard": guard, "path": path})
    pool = type("UnixPool", (ExchangePool, HTTPConnectionPool), {"ConnectionCls": connection})
    made: HTTPConnectionPool = pool("localhost")
    return made
