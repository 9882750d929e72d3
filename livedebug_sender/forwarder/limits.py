"""The limits of a forwarder: the size of a body, and the requests in flight in all workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .counters import IN_FLIGHT, IN_FLIGHT_BYTES, RECEIVING_BYTES, Column
from .replies import HTTPError
from .rewriting import Environ


class InFlightLimit:
    """Limits the requests in flight and their bytes."""

    def __init__(self, column: Column, max_requests: int, max_bytes: int) -> None:
        self._column = column
        self._max_requests = max_requests
        self._max_bytes = max_bytes

    def read(self) -> tuple[int, int]:
        """Requests and bytes in flight, of all workers."""
        return self._column.total(IN_FLIGHT), self._column.total(IN_FLIGHT_BYTES)

    @contextmanager
    def place_for(self, size: int) -> Iterator[None]:
        """As `acquire`, for a `with` block."""
        self.acquire(size)
        try:
            yield
        finally:
            self.release(size)

    def acquire(self, size: int) -> None:
        """Reserve a place for a request with a body of that size; `HTTPError` if there is none."""
        # Add first, then read: of two workers that race for the last place at most one gets it,
        # and none if they do so at the same moment.
        column = self._column
        column.add((IN_FLIGHT, 1), (IN_FLIGHT_BYTES, size))
        requests, size_of_all = column.total(IN_FLIGHT), column.total(IN_FLIGHT_BYTES)
        if requests > self._max_requests or size_of_all > self._max_bytes:
            self.release(size)
            raise HTTPError(503, "too many requests at once; try again", ("Retry-After", "1"))

    def release(self, size: int) -> None:
        self._column.add((IN_FLIGHT, -1), (IN_FLIGHT_BYTES, -size))


class BodyBytesLimit:
    """Limits the bytes of the bodies that are being received, on all connections together."""

    def __init__(self, column: Column, max_bytes: int) -> None:
        self._column = column
        self._max_bytes = max_bytes

    def read(self) -> int:
        return self._column.total(RECEIVING_BYTES)

    def acquire(self, size: int) -> bool:
        """Count that many more bytes; False if that exceeds the limit."""
        self._column.add((RECEIVING_BYTES, size))  # first, as above
        if self.read() <= self._max_bytes:
            return True
        self.release(size)
        return False

    def release(self, size: int) -> None:
        self._column.add((RECEIVING_BYTES, -size))


def body_size(environ: Environ, max_bytes: int) -> int | None:
    """The size of the body in bytes; None if it is unknown until the end of the body.

    Raises:
        HTTPError: 413 for more than `max_bytes`; 400 for an invalid length; 411 if the server
            knows neither the length nor the end.
    """
    text = environ.get("CONTENT_LENGTH") or ""
    if not text and environ.get("wsgi.input_terminated"):  # gunicorn, chunked
        return None
    if not text and "HTTP_TRANSFER_ENCODING" in environ:
        raise HTTPError(411, "this server accepts no body of unknown length")
    if text and not (text.isascii() and text.isdigit()):
        raise HTTPError(400, "the Content-Length is not a number")
    if len(text) > 18 or int(text or 0) > max_bytes:
        raise _too_large(max_bytes)
    return int(text or 0)


def read_body(environ: Environ, size: int | None, max_bytes: int) -> bytes:
    """Read the whole body.

    Raises:
        HTTPError: it is longer than `max_bytes`, or shorter than its `size`.
    """
    if size == 0:
        return b""
    source = environ["wsgi.input"]
    # One byte more, to detect that a body of unknown length is too long.
    left = max_bytes + 1 if size is None else size
    pieces = []
    try:
        while left and (piece := source.read(left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError:  # from gunicorn, for malformed chunks and closed connections
        raise HTTPError(400, "the body can't be read to its end") from None
    if size is None and not left:
        raise _too_large(max_bytes)
    if size is not None and left:
        raise HTTPError(400, "the body is shorter than its Content-Length")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(max_bytes: int) -> HTTPError:
    return HTTPError(413, f"the body has more than {max_bytes} bytes")
