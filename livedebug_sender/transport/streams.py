"""Connections as streams of bytes that never block: plain, TLS, TLS within TLS.

Blocking sockets with a timeout need two system calls for each read or write (a `poll`
first), and can't detect an early response while they write. Here a write that fits into the
socket's buffer is one call, and a writer that has to wait also waits for data to read.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..runtime.broken_pipes import without_sigpipe
from ..runtime.host_signals import reraise_of_signal_handler
from .deadline import RequestDeadline
from .failures import tls_failed

Buffer = bytes | memoryview

#: Buffers are joined for TLS up to this size, that of a record; larger ones are not copied.
_RECORD = 16 * 1024
#: Bytes passed to TLS at a time: a piece of a body. After each the worker waits for the
#: interpreter's lock: with 256 KiB a payload of 20 KB took 4 to 8 % more CPU.
_TLS_WRITE = 1024 * 1024
#: The same where they are first encrypted into memory.
_NESTED_TLS_WRITE = 256 * 1024
#: Maximum seconds of one wait: `poll` accepts at most 24 days.
_LONGEST_WAIT = 86400.0
_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")
#: For a write to a closed connection. `runtime.broken_pipes` does the same, but is slower.
_NO_SIGPIPE: int | None = getattr(socket, "MSG_NOSIGNAL", None)


class Stream(Protocol):
    """An open connection."""

    def send(self, buffers: Sequence[Buffer]) -> int:
        """Write as much as possible; returns the number of bytes, 0 if it would block.

        After a 0 the next call must start with the same bytes.
        """

    def receive(self, size: int) -> bytes | None:
        """At most `size` bytes, none at the end of the stream; None if it would block."""

    def wait(self, seconds: float, *, for_writing: bool = False) -> bool:
        """Wait until it is readable (or writable); False on timeout."""

    def interrupt(self) -> None:
        """Shut it down from another thread, which ends a wait on it."""

    def close(self) -> None:
        """Close it."""


def shut_down(sock: socket.socket) -> None:
    """Shut a socket down, which ends the wait of another thread on it.

    Not by `SSLSocket.shutdown`: it removes the encryption first, so that data which another
    thread sends at that moment, such as the API key, would be sent unencrypted.
    """
    by_class: Callable[..., None] | None = getattr(socket.socket, "shutdown", None)
    try:
        if by_class is not None:
            by_class(sock, socket.SHUT_RDWR)
        elif not hasattr(sock, "unwrap"):  # eventlet's; one with TLS is left to its timeout
            sock.shutdown(socket.SHUT_RDWR)
    except OSError as error:  # not connected (any more)
        reraise_of_signal_handler(error)


class PlainStream:
    """Unencrypted bytes on a socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        # Looked up late: gevent replaces it, and eventlet removes it.
        new_poll: Callable[[], Any] | None = getattr(select, "poll", None)
        self._poll = None if new_poll is None else new_poll()
        if self._poll is not None:
            self._poll.register(sock.fileno(), select.POLLIN)
        self._watches_writing = False

    @property
    def sock(self) -> socket.socket:
        return self._sock

    def send(self, buffers: Sequence[Buffer]) -> int:
        try:
            if _NO_SIGPIPE is None:
                return without_sigpipe(self._sock.send, b"".join(buffers))
            if _HAS_SENDMSG:
                return self._sock.sendmsg(buffers, (), _NO_SIGPIPE)
            return self._sock.send(b"".join(buffers), _NO_SIGPIPE)
        except BlockingIOError:
            return 0

    def receive(self, size: int) -> bytes | None:
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None

    def wait(self, seconds: float, *, for_writing: bool = False) -> bool:
        seconds = min(seconds, _LONGEST_WAIT)
        if self._poll is None:
            socks = [self._sock]
            return any(select.select(socks, socks if for_writing else (), (), seconds))
        if for_writing != self._watches_writing:
            watched = select.POLLIN | (select.POLLOUT if for_writing else 0)
            self._poll.modify(self._sock.fileno(), watched)
            self._watches_writing = for_writing
        return bool(self._poll.poll(seconds * 1000))

    def interrupt(self) -> None:
        shut_down(self._sock)

    def close(self) -> None:
        self._sock.close()


class TLSStream(PlainStream):
    """TLS on a socket."""

    _sock: ssl.SSLSocket

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._unfinished: Buffer = b""
        self._must_read = False

    def send(self, buffers: Sequence[Buffer]) -> int:
        # After a write that would block, TLS requires the same data again.
        data = self._unfinished or _one_write(buffers, _TLS_WRITE)
        try:
            count = without_sigpipe(self._sock.send, data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            self._unfinished = data
            self._must_read = isinstance(error, ssl.SSLWantReadError)
            return 0
        except ssl.SSLError as error:
            raise _plain_error(error) from None
        self._unfinished = b""
        return count

    def receive(self, size: int) -> bytes | None:
        try:
            return without_sigpipe(self._sock.recv, size)  # TLS may also write here
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLError as error:
            raise _plain_error(error) from None

    def wait(self, seconds: float, *, for_writing: bool = False) -> bool:
        if self._sock.pending() and not for_writing:
            return True
        for_writing, self._must_read = for_writing and not self._must_read, False
        return super().wait(seconds, for_writing=for_writing)


class NestedTLSStream:
    """TLS within another stream, that of a proxy."""

    def __init__(self, outer: Stream, context: ssl.SSLContext, server_hostname: str) -> None:
        self._outer = outer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )
        self._encrypted: Buffer = b""  # still to be written

    def handshake(self, deadline: RequestDeadline, until: float) -> None:
        while True:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                self._flush()  # the alert that says why
                raise tls_failed(error) from None
            self._flush()
            if done and not self._encrypted:
                return
            if not done and self._fill():
                continue
            if not self.wait(deadline.remaining(until)):
                raise TimeoutError("timed out")

    def send(self, buffers: Sequence[Buffer]) -> int:
        if not self._flush():
            return 0
        try:
            count = self._tls.write(_one_write(buffers, _NESTED_TLS_WRITE))
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLError as error:
            raise _plain_error(error) from None
        self._flush()
        return count

    def receive(self, size: int) -> bytes | None:
        self._flush()
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                if not self._fill():
                    return None
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""
            except ssl.SSLError as error:
                raise _plain_error(error) from None

    def wait(self, seconds: float, *, for_writing: bool = False) -> bool:
        if self._tls.pending() and not for_writing:
            return True
        return self._outer.wait(seconds, for_writing=for_writing or bool(self._encrypted))

    def interrupt(self) -> None:
        self._outer.interrupt()

    def close(self) -> None:
        self._outer.close()

    def _flush(self) -> bool:
        """Write pending encrypted data; True if none is left."""
        while True:
            if not self._encrypted:
                self._encrypted = memoryview(self._outgoing.read())
                if not self._encrypted:
                    return True
            count = self._outer.send([self._encrypted])
            if not count:
                return False
            self._encrypted = self._encrypted[count:]

    def _fill(self) -> bool:
        """Read from the outer stream; False if there is nothing to read yet."""
        data = self._outer.receive(64 * 1024)
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True


def start_tls(
    sock: socket.socket,
    context: ssl.SSLContext,
    server_hostname: str,
    deadline: RequestDeadline,
    until: float,
) -> TLSStream:
    """Start TLS on a connected socket, and take ownership of the socket."""
    sock.settimeout(deadline.remaining(until))
    wrapped = context.wrap_socket(
        sock, server_hostname=server_hostname, do_handshake_on_connect=False
    )
    try:
        deadline.interrupted_by(lambda: shut_down(wrapped))
        without_sigpipe(wrapped.do_handshake)
    except BaseException as error:
        wrapped.close()
        if isinstance(error, ssl.SSLError) and not isinstance(error, TimeoutError):
            raise tls_failed(error) from None
        raise
    return TLSStream(wrapped)


def _one_write(buffers: Sequence[Buffer], max_size: int) -> Buffer:
    """The data for one TLS write: small buffers joined, or the beginning of a large one."""
    first = buffers[0]
    if len(buffers) > 1 and sum(map(len, buffers)) <= _RECORD:
        return b"".join(buffers)
    return first if len(first) <= max_size else memoryview(first)[:max_size]


def _plain_error(error: ssl.SSLError) -> OSError:
    """The connection error that corresponds to a TLS error on an open connection."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return ConnectionResetError("TLS ended")
    return tls_failed(error)
