"""The tracer gets a 202 once its request is in a queue; threads deliver it to the intake."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from types import MappingProxyType

from ..delivery.capacity import FLOODS
from ..delivery.dual_shipping import ADDITIONAL_SHARE, AdditionalEndpointWorker, DualShipping
from ..errors import ConfigError
from ..protocol.endpoint import Endpoint
from ..runtime.clock import monotonic
from ..runtime.log_reporter import LogReporter
from ..stats import Stats
from ..transport.routes import Routes
from ..transport.transport import Transport
from .queue.opening import open_queue
from .queue.put_timeouts import PutTimeouts
from .queue.request_queue import (
    PutRefused,
    QueueFull,
    QueueOptions,
    QueueStats,
    RequestQueue,
)
from .queue.stored_request import StoredRequest
from .replies import HTTPError, Reply
from .rewriting import Head
from .route_delivery import DeliveryCounts, RouteDelivery
from .routes import ROUTES, Route
from .settings import Settings

logger = logging.getLogger("livedebug_sender")

#: What may wait for one additional endpoint at most, where the queue is not in memory.
_MAX_ADDITIONAL_BYTES = 64 * 1024 * 1024
#: Seconds after which another forwarder may have taken this one's place.
_BACK_AFTER = 5
#: Seconds after which opening a queue is tried again.
OPEN_AGAIN = 5
#: Seconds between two checks whether everything is delivered.
_LOOK = 0.02
#: How long before the end of the time to close deliveries are aborted, so that the queue can be
#: closed and the process ends in time: in seconds, and as a largest share of the time.
LAST, LAST_SHARE = 1.0, 0.25
#: Seconds that aborted deliveries get to end, and the queue to close, however short the time is.
_AT_LEAST = 0.1


class StoreAndForward:
    """Stores requests in a queue, and forwards them from there.

    Each process opens the queue for itself, at `start` or with its first request.

    Args:
        routes: to the intakes.
    """

    def __init__(self, settings: Settings, routes: Routes) -> None:
        self._settings = settings
        self._new_transport = partial(Transport, routes=routes)
        # Guards: opening.
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._closed = False
        #: Why the queue could not be opened, and when to try again (by `monotonic`).
        self._failed = ("", 0.0)

    def start(self) -> None:
        """Open the queue, and start to deliver the requests in it.

        Raises:
            ConfigError: the queue can't be opened.
        """
        with self._lock:
            self._open()

    @property
    def problem(self) -> str:
        """Why the queue can't be opened; empty if it is open, or was not needed yet."""
        return self._failed[0]

    def forward(self, route: Route, head: Head, body: bytes) -> Reply:
        """Put the request into the queue, and answer 202.

        Raises:
            HTTPError: 429 if the queue is full; 503 if the queue fails or can't be opened,
                or while closing.
        """
        if self._closed:
            raise _closing()
        opened = self._here()
        try:
            opened.queue.put(_stored(route, head, body))
        except PutRefused as refused:
            raise opened.refusal(route, refused) from None
        return _accepted()

    @property
    def answers_later(self) -> bool:
        """Whether to call `forward_async`: a durable queue is open.

        A queue in memory blocks nobody either, but then one thread would receive all requests,
        and take 6,400 of a burst a second instead of 10,000.
        """
        opened = self._mine()
        return opened is not None and opened.queue.durable and not self._closed

    def forward_async(
        self, route: Route, head: Head, body: bytes, answer: Callable[[Reply], None]
    ) -> None:
        """As `forward`, but without waiting for the queue.

        Args:
            answer: called exactly once, with what `forward` would answer, on any thread;
                not if this raises.
        """
        opened = self._here()

        def stored(refused: PutRefused | None) -> None:
            answer(opened.refusal(route, refused).reply if refused else _accepted())

        opened.put_timeouts.put(_stored(route, head, body), stored)

    def stats(self) -> Stats:
        opened = self._mine()
        return opened.stats() if opened else Stats()

    def queue_stats(self) -> QueueStats | None:
        """None before the queue is opened."""
        opened = self._mine()
        return opened.queue.stats() if opened else None

    def close(self, timeout: float) -> bool:
        """Deliver what would be lost with the process; whether nothing was lost."""
        # Not under the lock: opening may take long, and whoever does it closes it again.
        self._closed = True
        opened = self._mine()
        return opened.close(timeout) if opened else True

    def _here(self) -> _Opened:
        opened = self._mine()
        if opened is not None:
            return opened
        problem, again_at = self._failed
        # After a failure one request at a time tries again; the others do not wait for it.
        if not problem:
            self._lock.acquire()
        elif monotonic() < again_at or not self._lock.acquire(blocking=False):
            raise _unavailable(problem, OPEN_AGAIN)
        try:
            return self._open()
        except ConfigError as error:
            if str(error) != problem:
                logger.error("tracers get a 503: %s", error)
            raise _unavailable(str(error), OPEN_AGAIN) from None
        finally:
            self._lock.release()

    def _open(self) -> _Opened:
        """Called with the lock held."""
        opened = self._mine()
        if opened is None:
            if self._closed:
                raise _closing()
            problem, again_at = self._failed
            if problem and monotonic() < again_at:  # while this one waited for the lock
                raise ConfigError(problem)
            try:
                opened = _Opened(self._settings, self._new_transport)
            except ConfigError as error:
                self._failed = (str(error), monotonic() + OPEN_AGAIN)
                raise
            self._opened = opened
            self._failed = ("", 0.0)
            if self._closed:
                opened.close(0.0)
                raise _closing()
        return opened

    def _mine(self) -> _Opened | None:
        """What this process opened; None if it was a parent process before a fork."""
        opened = self._opened
        return opened if opened is not None and opened.process == os.getpid() else None


def _stored(route: Route, head: Head, body: bytes) -> StoredRequest:
    request_id = head.headers["DD-REQUEST-ID"]
    return StoredRequest(route.path, request_id, time.time(), head.query, head.headers, body)


def _accepted() -> Reply:
    return Reply(202, [("Content-Type", "application/json")], b"{}\n")


def _closing() -> HTTPError:
    return _unavailable("shutting down", _BACK_AFTER)


def _unavailable(words: str, retry_after: int) -> HTTPError:
    return HTTPError(503, words, ("Retry-After", str(retry_after)))


class _Opened:
    """The queue and the threads of one process."""

    def __init__(self, settings: Settings, new_transport: Callable[[], Transport]) -> None:
        self.process = os.getpid()
        self._new_transport = new_transport
        # Its lines are written on a thread of its own: a log that hangs must not hold up the thread
        # that stores requests, or the only one that receives them.
        self.problems = LogReporter()
        options = queue_options(settings)
        self.queue: RequestQueue = open_queue(settings.queue, options)
        self.put_timeouts = PutTimeouts(self.queue, options.put_timeout)
        self._settings = settings
        self._dual_shipping = DualShipping(self._new_worker)
        self._counts = DeliveryCounts()
        self._lost = 0
        self._routes = [
            RouteDelivery(
                route,
                settings.destinations[path],
                self.queue,
                settings.connections,
                self._dual_shipping,
                self._counts,
                self.problems,
                new_transport,
            )
            for path, route in ROUTES.items()
        ]
        for route in self._routes:
            route.start()

    def refusal(self, route: Route, refused: PutRefused) -> HTTPError:
        """What the tracer of a refused request gets; noted for the log."""
        status = 429 if isinstance(refused, QueueFull) else 503
        self.problems.note(
            (route.path, str(refused)), f"{route.path}: {refused}, tracers get a {status}"
        )
        retry_after = ("Retry-After", str(max(1, round(refused.retry_after))))
        return HTTPError(status, f"{refused}; try again later", retry_after)

    def stats(self) -> Stats:
        queue = self.queue.stats()
        additional_delivered, additional_failed = self._dual_shipping.counts()
        counts = self._counts
        with counts.lock:
            return Stats(
                enqueued=counts.delivered + queue.items,
                delivered=counts.delivered,
                dropped=MappingProxyType(
                    {
                        "rejected": sum(queue.dead.values()),
                        "undeliverable": queue.expired,
                        "shutdown": self._lost,
                    }
                ),
                pending=queue.items,
                pending_bytes=queue.bytes,
                requests=counts.requests,
                retries=counts.retries,
                bytes_sent=counts.bytes_sent,
                additional_delivered=additional_delivered,
                additional_failed=additional_failed,
            )

    def close(self, timeout: float) -> bool:
        deadline = monotonic() + timeout
        last = min(LAST, timeout * LAST_SHARE)
        cut_at, at_least = deadline - last, max(_AT_LEAST, last / 2)
        if not self.queue.durable:
            while self.queue.stats().items and monotonic() < cut_at:
                time.sleep(_LOOK)
        for route in self._routes:
            route.stop()
        while any(route.under_way for route in self._routes) and monotonic() < cut_at:
            time.sleep(_LOOK)
        for route in self._routes:
            route.abort()
        ended_by = cut_at + at_least
        while any(route.under_way for route in self._routes) and monotonic() < ended_by:
            time.sleep(_LOOK)
        self._lost = self.queue.close(max(at_least, cut_at - monotonic()))
        self.put_timeouts.close()
        self._dual_shipping.close(cut_at, monotonic)
        if self._lost:
            self.problems.note("shutdown", "stored requests dropped (shutdown)", self._lost)
        self.problems.close()
        return not self._lost

    def _new_worker(self, endpoint: Endpoint) -> AdditionalEndpointWorker:
        in_memory = self._settings.queue == "memory"
        size = self._settings.queue_bytes // ADDITIONAL_SHARE
        requests = max(1, self._settings.queue_items // ADDITIONAL_SHARE)
        return AdditionalEndpointWorker(
            endpoint,
            requests,
            size if in_memory else min(size, _MAX_ADDITIONAL_BYTES),
            self._new_transport,
            self.problems,
            monotonic,
        )


def queue_options(settings: Settings) -> QueueOptions:
    flooding = frozenset(path for path, route in ROUTES.items() if route.track in FLOODS)
    return QueueOptions(
        routes=tuple(ROUTES),
        flooding=flooding,
        max_items=settings.queue_items,
        max_bytes=settings.queue_bytes,
        min_free=settings.queue_min_free,
        max_age=settings.max_age,
        kafka_min_replicas=settings.kafka_min_replicas,
        kafka_config=settings.kafka_config,
    )
