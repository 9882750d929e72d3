"""Bounds on time: a deadline for all that a transport does, and for each whole answer.

The timeouts of sockets are per read: an answer that drips a byte a second never ends.
Here it has to come within the timeout, counted from the end of the body.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class Guard:
    """What one transport's connections share: the deadline, and the socket in use."""

    def __init__(self) -> None:
        #: No request goes on after that (seconds of time.monotonic).
        self.deadline = float("inf")
        self.sock: Any = None
        #: Was the socket in use there before the request under way?
        self.reused = False
        self.aborted = False
        #: Are answers wanted as they came? The short way gives no more than their gist.
        self.whole_answers = False

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
