"""How much a forwarder takes: a body, and all that is in hand at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .replies import Refused
from .rewriting import Environ


class AtOnce:
    """What is in hand now, under one pair of bounds."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        # Guards: what is in hand.
        self._lock = threading.Lock()
        self._requests = 0
        self._bytes = 0

    def read(self) -> tuple[int, int]:
        """Requests and bytes in hand."""
        with self._lock:
            return self._requests, self._bytes

    @contextmanager
    def place_for(self, size: int) -> Iterator[None]:
        """Room for a request with a body of that size; `Refused` if there is none."""
        if not self._take(size):
            raise Refused(503, "too many requests at once; try again", ("Retry-After", "1"))
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1
                self._bytes -= size

    def _take(self, size: int) -> bool:
        with self._lock:
            if self._requests >= self._max_requests or self._bytes + size > self._max_bytes:
                return False
            self._requests += 1
            self._bytes += size
            return True


def body_size(environ: Environ, most: int) -> int | None:
    """Bytes of the body that is to come; None where only its end will tell.

    Raises:
        Refused: 413 for more than `most`; 400 for a length that is none; 411 where the
            server can tell neither the length nor the end.
    """
    text = environ.get("CONTENT_LENGTH") or ""
    if not text and environ.get("wsgi.input_terminated"):  # gunicorn, chunked
        return None
    if not text and "HTTP_TRANSFER_ENCODING" in environ:
        raise Refused(411, "this server takes no body of unknown length")
    if text and not (text.isascii() and text.isdigit()):
        raise Refused(400, "the Content-Length is no number")
    if len(text) > 18 or int(text or 0) > most:
        raise _too_large(most)
    return int(text or 0)


def read_body(environ: Environ, size: int | None, most: int) -> bytes:
    """The whole body; `Refused` if it is longer than `most`, or shorter than its `size`."""
    # One byte more shows that a body of unknown length is too long.
    left = most + 1 if size is None else size
    pieces = []
    try:
        while left and (piece := environ["wsgi.input"].read(left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError:  # gunicorn's word for chunks that are none, and for a cut connection
        raise Refused(400, "the body can't be read to its end") from None
    if size is None and not left:
        raise _too_large(most)
    if size is not None and left:
        raise Refused(400, "the body is shorter than its Content-Length")
    return b"".join(pieces)


def _too_large(most: int) -> Refused:
    return Refused(413, f"the body has more than {most} bytes")
