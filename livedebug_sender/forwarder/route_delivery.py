"""The threads that deliver the stored requests of one route to its intake."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..delivery.backoff import wait_before_retry
from ..delivery.dual_shipping import DualShipping
from ..protocol.endpoint import Endpoint
from ..protocol.outcome import Outcome, outcome_of
from ..protocol.retry_after import parse_retry_after
from ..runtime.log_limiter import LogLimiter
from ..transport.response import NoResponse
from ..transport.transport import Transport
from .queue.request_queue import RequestQueue, Taken
from .rewriting import Head, outgoing_request
from .route_gate import KEY_REFUSED_DELAY, RouteGate
from .routes import Route

logger = logging.getLogger("livedebug_sender")

#: Seconds until the queue is asked again after it failed unexpectedly.
_AFTER_FAILURE = 0.5


@dataclass
class DeliveryCounts:
    """Counts of the requests made by the threads of all routes."""

    # Guards: the numbers.
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: int = 0
    retries: int = 0
    delivered: int = 0
    bytes_sent: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


class RouteDelivery:
    """Delivers a route's requests over a few connections, from `start` to `stop`.

    Args:
        endpoints: primary first.
    """

    def __init__(
        self,
        route: Route,
        endpoints: tuple[Endpoint, ...],
        queue: RequestQueue,
        connections: int,
        dual_shipping: DualShipping,
        counts: DeliveryCounts,
        problems: LogLimiter,
        new_transport: Callable[[], Transport],
    ) -> None:
        self._route = route
        self._primary, *self._additional = endpoints
        self._queue = queue
        self._dual_shipping = dual_shipping
        self._counts = counts
        self._problems = problems
        self._gate = RouteGate()
        self._stopping = False
        #: The threads that are at it. Only single operations of a set.
        self._under_way: set[int] = set()
        self._transports = [new_transport() for _ in range(connections)]
        self._threads = [
            threading.Thread(
                target=self._run,
                args=[transport],
                name=f"livedebug-deliver-{route.path}-{n}",
                daemon=True,
            )
            for n, transport in enumerate(self._transports)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no other delivery. The queue's `close` wakes the threads that wait for one."""
        self._stopping = True
        self._gate.close()

    def abort(self) -> None:
        """Abort the deliveries under way; their requests stay in the queue."""
        for transport in self._transports:
            transport.abort()

    @property
    def under_way(self) -> int:
        """How many requests are being delivered."""
        return len(self._under_way)

    def _run(self, transport: Transport) -> None:
        while not self._stopping:
            try:
                taken = self._queue.take(self._route.path)
            except Exception as error:  # ours, or no memory; the thread has to go on
                self._note("queue", f"the queue failed: {type(error).__name__}")
                time.sleep(_AFTER_FAILURE)
                continue
            if taken is None:
                break
            if self._stopping:
                self._queue.release(taken)
                break
            self._under_way.add(id(transport))
            try:
                self._deliver(taken, transport)
            except Exception as error:  # ours; the thread has to go on
                logger.error("a delivery failed: %s", type(error).__name__)
                self._queue.release(taken, wait_before_retry(taken.redeliveries + 1))
            finally:
                self._under_way.discard(id(transport))
        transport.close()

    def _deliver(self, taken: Taken, transport: Transport) -> None:
        turn = self._gate.enter()
        if turn is None:
            self._queue.release(taken)
            return
        stored = taken.request
        if self._queue.is_too_old(taken):  # it waited at the gate
            self._queue.release(taken)
            return
        head = Head(stored.query, stored.headers)
        request = outgoing_request(head, self._primary, stored.body)
        retry_after = None
        try:
            answer = transport.post(request, deadline=time.monotonic() + self._primary.timeout)
            outcome = outcome_of(answer.status, payloads=1, agent_v2=False)
            problem = f"answered {answer.status}"
            retry_after = parse_retry_after(answer.retry_after, time.time(), answer.date)
        except NoResponse as error:
            outcome, problem = Outcome.RETRY, error.reason
        try:
            self._settle(taken, outcome, problem, retry_after, turn)
        finally:
            if not taken.redeliveries:
                for endpoint in self._additional:
                    additional = self._dual_shipping.worker(endpoint)
                    copy = outgoing_request(head, endpoint, stored.body)
                    additional.put(copy, len(stored.body))
        self._count(taken, outcome, problem)

    def _settle(
        self,
        taken: Taken,
        outcome: Outcome,
        problem: str,
        retry_after: float | None,
        turn: int,
    ) -> None:
        if outcome in (Outcome.RETRY, Outcome.KEY_REFUSED):
            at_least = KEY_REFUSED_DELAY if outcome is Outcome.KEY_REFUSED else 0.0
            delay = self._gate.failed(turn, retry_after, at_least)
            # Later than the next probe: a request that brings the intake down must not be
            # the only one that is ever tried.
            self._queue.release(taken, delay + wait_before_retry(taken.redeliveries + 1))
            self._say_down(outcome, problem)
            return
        if self._gate.succeeded():
            logger.info("%s: %s takes requests again", self._route.path, self._host)
        if outcome is Outcome.DELIVERED:
            self._queue.acknowledge(taken)
            return
        reason = f"HTTP {problem.removeprefix('answered ')}"
        self._queue.bury(taken, reason)
        self._note("rejected", f"{self._host} {problem}: rejected for good")

    def _count(self, taken: Taken, outcome: Outcome, problem: str) -> None:
        with self._counts.lock:
            self._counts.requests += 1
            self._counts.retries += taken.redeliveries > 0
            if outcome is Outcome.DELIVERED:
                self._counts.delivered += 1
                self._counts.bytes_sent += len(taken.request.body)

    def _say_down(self, outcome: Outcome, problem: str) -> None:
        if outcome is Outcome.KEY_REFUSED:
            words = f"{self._host} refuses the API key ({problem}); stored requests wait"
        else:
            words = f"{self._host}: {problem}; stored requests wait"
        self._note(outcome.name, words)

    def _note(self, kind: str, words: str) -> None:
        self._problems.note((self._route.path, kind), f"{self._route.path}: {words}")

    @property
    def _host(self) -> str:
        return urlsplit(self._primary.url).netloc
