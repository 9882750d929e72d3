"""Requests and their responses on an open connection, bounded in time."""

from __future__ import annotations

from collections.abc import Iterable

from ..runtime.host_signals import reraise_of_signal_handler
from .deadline import BYTES_PER_TIMEOUT, RequestDeadline
from .http1 import ProtocolError, ResponseReader
from .streams import Buffer, Stream

_READ = 64 * 1024


class Connection:
    """Sequential requests and responses on an open connection.

    Attributes:
        sent: bytes of the last request that were sent, its head included.
        sent_whole: whether all of it was sent.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.sent = 0
        self.sent_whole = False

    def is_stale(self) -> bool:
        """Whether the server closed it, or sent data without a request."""
        if not self._stream.wait(0):
            return False
        try:
            # None: there is no data; TLS session tickets may arrive at any time.
            return self._stream.receive(1) is not None
        except OSError as error:
            reraise_of_signal_handler(error)
            return True

    def exchange(
        self,
        head: bytes,
        body: bytes | Iterable[bytes] | None,
        reader: ResponseReader,
        deadline: RequestDeadline,
        timeout: float,
    ) -> None:
        """Write a request, and feed the response to `reader` until it is complete.

        If a response arrives before the body was written, the rest of the body is not
        written, and the connection can't be reused.

        Args:
            timeout: seconds for each MiB of the body, and for the whole response.

        Raises:
            OSError, ProtocolError: `reader` may have the status nevertheless.
        """
        self.sent = 0
        self.sent_whole = False
        deadline.interrupted_by(self._stream.interrupt)
        try:
            self._write(head, body, reader, deadline, timeout)
        except TimeoutError:
            raise
        except OSError as error:
            reraise_of_signal_handler(error)
            # The server may have answered before it closed the connection. Even if the connection
            # was reset since it had not read all of our data, its response can still be read.
            try:
                self._read(reader, deadline, timeout)
            except (OSError, ProtocolError) as unread:
                reraise_of_signal_handler(unread)
                raise error from None
            return
        self._read(reader, deadline, timeout)

    def interrupt(self) -> None:
        self._stream.interrupt()

    def close(self) -> None:
        self._stream.close()

    def _write(
        self,
        head: bytes,
        body: bytes | Iterable[bytes] | None,
        reader: ResponseReader,
        deadline: RequestDeadline,
        timeout: float,
    ) -> None:
        if body is None or isinstance(body, bytes):
            buffers = [head, body] if body else [head]
            self.sent_whole = self._write_buffers(buffers, reader, deadline, timeout)
            return
        buffers = [head]
        for piece in body:
            buffers.append(piece)
            if not self._write_buffers(buffers, reader, deadline, timeout):
                return
            buffers.clear()
            del piece  # so that the next one can reuse its memory
        self.sent_whole = True

    def _write_buffers(
        self,
        buffers: list[bytes],
        reader: ResponseReader,
        deadline: RequestDeadline,
        timeout: float,
    ) -> bool:
        """Write everything; False if a response arrived before that was done."""
        count = self._stream.send(buffers)  # nearly always everything
        self.sent += count
        size = sum(map(len, buffers))
        if count == size:
            return True
        until = deadline.until(timeout * (1 + size // BYTES_PER_TIMEOUT))
        left: list[Buffer] = _after(list(buffers), count)
        while left:
            count = self._stream.send(left)
            if count:
                self.sent += count
                left = _after(left, count)
                continue
            self._receive(reader, deadline.remaining(until), for_writing=True)
            if reader.status is not None:
                reader.reusable = False
                return False
        return True

    def _read(self, reader: ResponseReader, deadline: RequestDeadline, timeout: float) -> None:
        until = deadline.until(timeout)
        while not reader.complete:
            self._receive(reader, deadline.remaining(until))

    def _receive(
        self, reader: ResponseReader, seconds: float, *, for_writing: bool = False
    ) -> None:
        """Wait until it is readable (or writable), and feed what is received to `reader`."""
        if not self._stream.wait(seconds, for_writing=for_writing):
            raise TimeoutError("timed out")
        received = self._stream.receive(_READ)
        if received is not None:
            reader.feed(received)


def _after(buffers: list[Buffer], count: int) -> list[Buffer]:
    """The buffers without their first `count` bytes."""
    for number, buffer in enumerate(buffers):
        if count < len(buffer):
            return [memoryview(buffer)[count:], *buffers[number + 1 :]]
        count -= len(buffer)
    return []
