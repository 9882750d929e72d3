"""One request to a debugger route and its answer: the limits and the metrics."""

from __future__ import annotations

import time

from .limits import InFlightLimit, body_size, read_body
from .metrics import Metrics
from .replies import Reply
from .rewriting import Environ, Head, new_request_id, outgoing_head
from .routes import Route


class Exchange:
    """One request; in flight from `receive` until `release` or `finish`.

    Args:
        max_bytes: maximum size of the body.
        in_flight: limits the requests in flight, and their bytes.
        metrics: count the answer.
    """

    def __init__(
        self,
        route: Route,
        environ: Environ,
        max_bytes: int,
        in_flight: InFlightLimit,
        metrics: Metrics,
    ) -> None:
        self._route = route
        self._environ = environ
        self._max_bytes = max_bytes
        self._in_flight = in_flight
        self._metrics = metrics
        self._begun = time.monotonic()
        self._body_bytes = 0
        self._reserved: int | None = None

    def receive(self, host_tags: str) -> tuple[Head, bytes]:
        """Reserve a place, read the body, and rewrite the head for the intake.

        Raises:
            HTTPError: 400, 411 or 413 for the body, 400 for the head, 503 if there is no place.
        """
        size = body_size(self._environ, self._max_bytes)
        reserved = self._max_bytes if size is None else size
        self._in_flight.acquire(reserved)
        self._reserved = reserved
        body = read_body(self._environ, size, self._max_bytes)
        self._body_bytes = len(body)
        return outgoing_head(self._environ, self._route, host_tags, new_request_id()), body

    def release(self) -> None:
        """Give back the place, if there is one."""
        reserved, self._reserved = self._reserved, None
        if reserved is not None:
            self._in_flight.release(reserved)

    def finish(self, reply: Reply) -> None:
        """Give back the place, and count the answer."""
        self.release()
        seconds = time.monotonic() - self._begun
        path, size = self._route.path, self._body_bytes
        self._metrics.count(path, reply.status, reply.from_intake, size, seconds)
