"""Connections with bounds on time, that can be cut from another thread.

urllib3's own timeouts are per read: an answer that drips a byte a second never ends.
Here the whole answer has to come within the timeout, counted from the end of the body.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)


class Guard:
    """What one transport's connections share: the deadline, and the socket in use."""

    def __init__(self) -> None:
        #: No request goes on after that (seconds of time.monotonic).
        self.deadline = float("inf")
        self.sock: Any = None
        #: Was the socket in use there before the request under way?
        self.reused = False
        self.aborted = False

    def left(self, timeout: float) -> float:
        """Seconds that an operation may take: the timeout, or what the deadline leaves."""
        left = min(timeout, self.deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def cut(self) -> None:
        """Shut the socket in use down, so that whoever waits on it comes back."""
        self.aborted = True
        sock = self.sock
        if sock is not None:
            # Not `SSLSocket.shutdown`: it takes the encryption off first, and what the other
            # thread sends in that moment, the API key maybe, would go in the clear.
            plain = isinstance(sock, socket.socket)  # else TLS within a proxy's TLS
            shutdown = socket.socket.shutdown if plain else type(sock).shutdown
            try:
                shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass


class TimedReader(io.RawIOBase):
    """The answer's bytes, all of which have to come before `until`."""

    def __init__(self, sock: Any, until: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # counts as a user of the socket
        self._until = until
        self._begun = False
        #: Are the status line and the headers still to come? `http.client` takes an end
        #: in the middle of them for the end of the headers.
        self.in_head = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        count = int(self._raw.readinto(buffer))
        if count == 0 and self.in_head:
            raise ConnectionAbortedError if self._begun else ConnectionResetError
        self._begun = True
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedSocket:
    """What `http.client` needs of a socket to read an answer."""

    def __init__(self, sock: Any, until: float) -> None:
        self.reader = TimedReader(sock, until)
        self.settimeout = sock.settimeout
        self.shutdown = sock.shutdown
        self.close = sock.close

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self.reader)


class Guarded:
    """Mixed into urllib3's connections."""

    guard: Guard
    sock: Any
    timeout: Any
    #: Has this connection brought an answer since it was made?
    used = False

    def connect(self) -> None:
        self.used = False
        timeout = self.timeout
        self.timeout = self.guard.left(float(timeout))
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self.timeout = timeout

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

    host: str
    port: int
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


def pool_classes(guard: Guard) -> dict[str, Any]:
    """urllib3's pools by scheme, with connections under this guard."""
    plain = type("PlainConnection", (PlainConnection,), {"guard": guard})
    tls = type("TLSConnection", (TLSConnection,), {"guard": guard})
    return {
        "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("TLSPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }


def unix_pool(path: str, guard: Guard) -> HTTPConnectionPool:
    """A pool of connections to the Unix socket at `path`."""
    connection = type("UnixConnection", (UnixConnection,), {"guard": guard, "path": path})
    pool = type("UnixPool", (HTTPConnectionPool,), {"ConnectionCls": connection})
    made: HTTPConnectionPool = pool("localhost")
    return made
