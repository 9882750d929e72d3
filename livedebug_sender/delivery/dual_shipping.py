"""Dual shipping: additional endpoints get each request once, best effort.

Each has a courier of its own, with its own thread, connection and bound, so one that
stalls takes nothing from the others, nor from the primary.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import DeliveryError
from ..runtime.log_limiter import LogLimiter
from ..runtime.threads import submit_unjoined, unjoined_executor, uwsgi_is_to_fork

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ..protocol.endpoint import Endpoint
    from ..protocol.request import Request
    from ..transport.transport import Transport


class Courier:
    """Brings requests to one additional endpoint, one after the other."""

    def __init__(
        self,
        endpoint: Endpoint,
        max_requests: int,
        max_bytes: int,
        new_transport: Callable[[], Transport],
        problems: LogLimiter,
        clock: Callable[[], float],
    ) -> None:
        self._name = endpoint.url
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._new_transport = new_transport
        self._problems = problems
        self._clock = clock
        self._transport: Transport | None = None
        self._executor: ThreadPoolExecutor | None = None
        # Guards: everything below. Held for moments only, never during a request.
        self._lock = threading.RLock()
        self._waiting: deque[tuple[Request, int]] = deque()
        self._held = 0
        self._under_way = False
        self._over = False
        self._idle = threading.Event()
        self._idle.set()
        self.delivered = 0
        self.failed = 0

    def offer(self, request: Request, size: int) -> None:
        """Take a request of `size` bytes along, or count it as failed if too much waits."""
        with self._lock:
            too_much = (
                len(self._waiting) >= self._max_requests or self._held + size > self._max_bytes
            )
            if self._over or (self._held and too_much):
                self.failed += 1
                self._problems.note(
                    ("additional full", self._name),
                    f"additional endpoint {self._name} is too slow: its copies are dropped",
                )
                return
            self._held += size
            self._waiting.append((request, size))
            self._idle.clear()
            if self._under_way:
                return
            self._under_way = True
        if not self._submit():
            with self._lock:
                self._under_way = False

    def finish(self, deadline: float) -> None:
        """Bring what is waiting, until `deadline`; here, if no thread can."""
        while not self._idle.is_set() and self._clock() < deadline:
            with self._lock:
                mine = not self._under_way
                self._under_way = True
            if mine:
                self._work(deadline)
            else:
                self._idle.wait(max(0.0, deadline - self._clock()))

    def close(self, deadline: float) -> None:
        """`finish`, then count what is left as failed and let the thread end."""
        self.finish(deadline)
        with self._lock:
            self._over = True
            self.failed += len(self._waiting)
            self._waiting.clear()
            if self._under_way:
                self.failed += 1
        if self._transport is not None:
            self._transport.abort()
        if self._executor is not None:
            # An idle thread ends at once; one in a request is cut, and not waited for.
            self._executor.shutdown(wait=self._idle.is_set(), cancel_futures=True)

    def _submit(self) -> bool:
        if uwsgi_is_to_fork():
            return False
        try:
            if self._executor is None:
                self._executor = unjoined_executor(1, "livedebug-additional")
            submit_unjoined(self._executor, self._work)
        except RuntimeError:  # interpreter shutdown or no threads: `finish` does the work
            return False
        return True

    def _work(self, deadline: float | None = None) -> None:
        while True:
            with self._lock:
                out_of_time = deadline is not None and self._clock() >= deadline
                if not self._waiting or out_of_time:
                    self._under_way = False
                    if not self._waiting:
                        self._idle.set()
                    return
                request, size = self._waiting.popleft()
            arrived = self._bring(request, deadline)
            with self._lock:
                self._held -= size
                if self._over:
                    return
                if arrived:
                    self.delivered += 1
                else:
                    self.failed += 1

    def _bring(self, request: Request, deadline: float | None) -> bool:
        try:
            if self._transport is None:
                self._transport = self._new_transport()
            answer = self._transport.post(request, deadline=deadline)
            problem = "" if 200 <= answer.status < 300 else f"answered {answer.status}"
        except DeliveryError as error:
            problem = str(error)
        except Exception as error:  # best effort must not end its thread
            problem = f"failed: {type(error).__name__}"
        if problem:
            self._problems.note(
                ("additional", self._name), f"additional endpoint {self._name} {problem}"
            )
        return not problem


class DualShipping:
    """The couriers of a sender in one process, made as endpoints come up."""

    def __init__(self, new_courier: Callable[[Endpoint], Courier]) -> None:
        self._new_courier = new_courier
        # Guards: the mapping below; taken by worker threads only.
        self._lock = threading.RLock()
        self._couriers: dict[tuple[str, str | None], Courier] = {}

    def courier(self, endpoint: Endpoint) -> Courier:
        key = (endpoint.url, endpoint.api_key)
        with self._lock:
            if key not in self._couriers:
                self._couriers[key] = self._new_courier(endpoint)
            return self._couriers[key]

    def finish(self, deadline: float) -> None:
        for courier in self._couriers_now():
            courier.finish(deadline)

    def close(self, deadline: float) -> None:
        for courier in self._couriers_now():
            courier.close(deadline)

    def counts(self) -> tuple[int, int]:
        """Requests delivered and failed."""
        couriers = self._couriers_now()
        return sum(c.delivered for c in couriers), sum(c.failed for c in couriers)

    def _couriers_now(self) -> list[Courier]:
        with self._lock:
            return list(self._couriers.values())
