"""The Agent's way: the tracer waits, and gets the intake's own answer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from ..delivery.dual_shipping import Courier, DualShipping
from ..errors import DeliveryError
from ..protocol.endpoint import Endpoint
from ..runtime.log_limiter import LogLimiter
from ..stats import Stats
from ..transport.failures import TimedOut
from ..transport.http1 import RawResponse
from ..transport.transport import Transport
from .replies import Refused, Reply
from .rewriting import Head, incoming_headers, outgoing_request
from .routes import Route
from .settings import Settings

#: Bytes of an intake's answer that are taken; its answers have a few hundred.
MAX_ANSWER = 1024 * 1024
#: The bounds of what may wait for one additional endpoint are the queue's over this.
_COURIER_SHARE = 4


class BadAnswer(DeliveryError):
    """An answer that can't go back to a tracer."""


class PassThrough:
    """Forwards on the thread of the request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._problems = LogLimiter()
        # Transports that nobody uses now; each serves one request at a time.
        self._idle: deque[Transport] = deque()
        self._dual_shipping = DualShipping(self._new_courier)

    def forward(self, route: Route, head: Head, body: bytes) -> Reply:
        """The intake's answer.

        Raises:
            Refused: 502 where the intake can't be reached or understood, 504 where it
                doesn't answer in time.
        """
        primary, *additional = self._settings.destinations[route.path]
        try:
            return self._ask(route, primary, head, body)
        finally:
            for endpoint in additional:
                courier = self._dual_shipping.courier(endpoint)
                courier.offer(outgoing_request(head, endpoint, body), len(body))

    def stats(self) -> Stats:
        delivered, failed = self._dual_shipping.counts()
        return Stats(additional_delivered=delivered, additional_failed=failed)

    def close(self, timeout: float) -> bool:
        """Give the additional endpoints what is left; True if that was in time."""
        before = self._dual_shipping.counts()[1]
        self._dual_shipping.close(time.monotonic() + timeout)
        while self._idle:
            self._idle.pop().close()
        self._problems.report(final=True)
        return self._dual_shipping.counts()[1] == before

    def _ask(self, route: Route, primary: Endpoint, head: Head, body: bytes) -> Reply:
        host = urlsplit(primary.url).netloc
        deadline = time.monotonic() + primary.timeout
        request = outgoing_request(head, primary, body)
        try:
            with self._transport() as transport:
                answer = transport.exchange(request, max_body=MAX_ANSWER, deadline=deadline)
            return _reply(answer)
        except DeliveryError as error:
            self._problems.note((host, str(error)), f"{route.path}: {host}: {error}")
            self._problems.report()
            if isinstance(error, TimedOut):
                raise Refused(504, "the intake did not answer in time") from None
            words = "the intake can't be reached, or its answer can't be read"
            raise Refused(502, words) from None

    @contextmanager
    def _transport(self) -> Iterator[Transport]:
        try:
            # The one used last: its connection is the least likely to have gone stale.
            transport = self._idle.pop()
        except IndexError:
            transport = Transport()
        try:
            yield transport
        except BaseException:
            transport.close()
            raise
        self._idle.append(transport)

    def _new_courier(self, endpoint: Endpoint) -> Courier:
        requests = max(1, self._settings.queue_items // _COURIER_SHARE)
        size = self._settings.queue_bytes // _COURIER_SHARE
        return Courier(endpoint, requests, size, Transport, self._problems, time.monotonic)


def _reply(answer: RawResponse) -> Reply:
    """The intake's answer as it came, not decoded."""
    if not 200 <= answer.status <= 599:
        raise BadAnswer(f"the answer's status is {answer.status}")
    return Reply(answer.status, incoming_headers(answer.headers), answer.body, from_intake=True)
