"""Pass-through, as the Agent does it: the tracer waits, and gets the intake's response."""

from __future__ import annotations

from collections import deque
from functools import partial
from urllib.parse import urlsplit

from ..delivery.dual_shipping import ADDITIONAL_SHARE, AdditionalEndpointWorker, DualShipping
from ..protocol.endpoint import Endpoint
from ..protocol.request import Request
from ..runtime.clock import monotonic
from ..runtime.log_limiter import LogLimiter
from ..stats import Stats
from ..transport.http1 import RawResponse
from ..transport.response import NoResponse
from ..transport.routes import Routes
from ..transport.transport import Transport
from .replies import HTTPError, Reply
from .rewriting import Head, incoming_headers, outgoing_request
from .routes import Route
from .settings import Settings

#: Maximum bytes of an intake's response; normally it has a few hundred.
MAX_ANSWER = 1024 * 1024


class PassThrough:
    """Forwards on the thread of the request.

    Args:
        routes: to the intakes.
    """

    def __init__(self, settings: Settings, routes: Routes) -> None:
        self._settings = settings
        self._log = LogLimiter()
        self._new_transport = partial(Transport, routes=routes)
        # Transports that are not in use; each handles one request at a time.
        self._idle: deque[Transport] = deque()
        self._dual_shipping = DualShipping(self._new_worker)

    def forward(self, route: Route, head: Head, body: bytes) -> Reply:
        """The intake's response, or the part of it that was received.

        Raises:
            HTTPError: 502, as from the Agent, if the intake can't be reached, does not answer
                in time, or its response is invalid.
        """
        cut = False
        primary, *additional = self._settings.destinations[route.path]
        try:
            answer = self._ask(primary, outgoing_request(head, primary, body))
        except NoResponse as error:
            host = urlsplit(primary.url).netloc
            self._log.note((host, error.reason), f"{route.path}: {host}: {error.reason}")
            self._log.report()
            if error.partial is None:
                raise HTTPError(502, "") from None
            answer, cut = error.partial, True
        finally:
            for endpoint in additional:
                worker = self._dual_shipping.worker(endpoint)
                worker.put(outgoing_request(head, endpoint, body), len(body))
        headers = incoming_headers(answer.headers)
        if cut and (length := _told_length(answer)):
            headers.append(("Content-Length", length))
        return Reply(answer.status, headers, answer.body, from_intake=True, cut=cut)

    def stats(self) -> Stats:
        delivered, failed = self._dual_shipping.counts()
        return Stats(additional_delivered=delivered, additional_failed=failed)

    def close(self, timeout: float) -> bool:
        """Deliver the remaining copies to additional endpoints; True if all were sent in time."""
        before = self._dual_shipping.counts()[1]
        self._dual_shipping.close(monotonic() + timeout, monotonic)
        while self._idle:
            self._idle.pop().close()
        self._log.report(final=True)
        return self._dual_shipping.counts()[1] == before

    def _ask(self, primary: Endpoint, request: Request) -> RawResponse:
        try:
            # The most recently used one: its connection is the least likely to be stale.
            transport = self._idle.pop()
        except IndexError:
            transport = self._new_transport()
        deadline = monotonic() + primary.timeout
        try:
            answer = transport.exchange(request, max_body=MAX_ANSWER, deadline=deadline)
        except BaseException:
            transport.close()
            raise
        self._idle.append(transport)
        return answer

    def _new_worker(self, endpoint: Endpoint) -> AdditionalEndpointWorker:
        requests = max(1, self._settings.queue_items // ADDITIONAL_SHARE)
        size = self._settings.queue_bytes // ADDITIONAL_SHARE
        return AdditionalEndpointWorker(
            endpoint, requests, size, self._new_transport, self._log, monotonic
        )


def _told_length(answer: RawResponse) -> str | None:
    """The Content-Length of a response; None without a valid one."""
    if answer.header("transfer-encoding"):
        return None
    length = answer.header("content-length") or ""
    return length if length.isascii() and length.isdigit() else None
