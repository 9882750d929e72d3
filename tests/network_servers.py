"""What stands between a host and its intake, on loopback: proxies, and a name server."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from servers import SmallServer


class Proxy(SmallServer):
    """A forward proxy for HTTP: CONNECT, and requests with a whole URL.

    Args:
        tls: for TLS to the proxy itself.
        early: what it says of itself before each answer it forwards, 103s say.
        answer: what it says to a CONNECT in place of a tunnel.
        drip: it says it a byte at a time, and never to its end.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        early: bytes = b"",
        answer: bytes = b"",
        *,
        drip: bool = False,
    ) -> None:
        super().__init__(tls)
        self.connected_to: list[str] = []
        self.forwarded: list[str] = []
        #: The lines of the last head that was for the proxy.
        self.head: list[bytes] = []
        self.url = f"http{'s' if tls else ''}://localhost:{self.port}"
        self._early = early
        self._answer = answer
        self._drip = drip

    def serve(self, connection: socket.socket, reader: BinaryIO) -> None:
        while line := reader.readline():
            self.head = [line]
            while (line := reader.readline()) not in (b"\r\n", b""):
                self.head.append(line)
            method, target, _ = self.head[0].decode().split()
            if method == "CONNECT":
                self.connected_to.append(target)
                self._tunnel(connection, target)
                return
            self.forwarded.append(target)
            self._forward(connection, reader, target)

    def _tunnel(self, connection: socket.socket, target: str) -> None:
        if self._drip:
            connection.sendall(b"HTTP/1.1 200 O")
            while not self.over.wait(0.02):
                connection.sendall(b"K")
            return
        if self._answer:
            connection.sendall(self._answer)
            return
        host, port = target.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as upstream:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            copy_both_ways(connection, upstream)

    def _forward(self, connection: socket.socket, reader: BinaryIO, target: str) -> None:
        parts = urlsplit(target)
        length = 0
        for line in self.head:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = reader.read(length)
        first = self.head[0].replace(target.encode(), parts.path.encode(), 1)
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as upstream:
            upstream.sendall(b"".join([first, *self.head[1:], b"\r\n", body]))
            with upstream.makefile("rb") as answer:
                came = b""
                while (line := answer.readline()) not in (b"\r\n", b""):
                    came += line
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                came += b"\r\n" + answer.read(length)
        connection.sendall(self._early + came)


class SocksProxy(SmallServer):
    """A SOCKS 5 proxy (RFC 1928), with a name and a password if they are given (RFC 1929)."""

    def __init__(self, login: tuple[str, str] | None = None, *, drip: bool = False) -> None:
        super().__init__()
        self.connected_to: list[str] = []
        self._login = login
        self._drip = drip
        self.address = f"localhost:{self.port}"

    def serve(self, connection: socket.socket, reader: BinaryIO) -> None:
        _, count = reader.read(2)
        reader.read(count)
        if self._login is not None:
            connection.sendall(b"\x05\x02")
            reader.read(1)
            name, password = (reader.read(reader.read(1)[0]).decode() for _ in range(2))
            refused = (name, password) != self._login
            connection.sendall(b"\x01\x01" if refused else b"\x01\x00")
            if refused:
                return
        else:
            connection.sendall(b"\x05\x00")
        _, _, _, kind = reader.read(4)
        if kind == 3:
            host = reader.read(reader.read(1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET, reader.read(4))
        port = int.from_bytes(reader.read(2), "big")
        self.connected_to.append(f"{host}:{port}")
        if self._drip:
            connection.sendall(b"\x05\x00\x00\x03\xff")
            while not self.over.wait(0.05):
                connection.sendall(b"x")
            return
        with socket.create_connection((host, port)) as upstream:
            connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
            copy_both_ways(connection, upstream)


def copy_both_ways(one: socket.socket, other: socket.socket) -> None:
    """What comes in on one goes out on the other, until one of them ends."""
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for ended in (source, sink):
        with suppress(OSError):
            # A socket of TLS would say good-bye, and wait for the answer.
            socket.socket.shutdown(ended, socket.SHUT_RDWR)


class NameServer:
    """In the place of a resolver's look-up: each name is on loopback, once it may answer."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked: list[str] = []
        self.came = threading.Event()
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int) -> list[Any]:
        self.asked.append(host)
        self.came.set()
        self.answers.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def instead_of_getaddrinfo(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        """For a host whose resolver is the system's: names in ``.test`` alone."""
        if isinstance(host, str) and host.endswith(".test"):
            return self(host, port)
        return self._real(host, port, *args, **options)
