"""Dual shipping: additional endpoints get each request once, best effort.

Each has its own worker with its own thread, connection and limits, so one that stalls
affects neither the others nor the primary.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..protocol.outcome import Outcome, outcome_of
from ..runtime.auto_reset_event import AutoResetEvent
from ..runtime.host_signals import reraise_of_signal_handler
from ..runtime.log_limiter import LogLimiter
from ..runtime.signal_safe_lock import SignalSafeLock
from ..runtime.threads import (
    start_thread,
    submit_unjoined,
    unjoined_executor,
    uwsgi_is_to_fork,
)
from ..transport.response import NoResponse
from .outages import Outages

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ..protocol.endpoint import Endpoint
    from ..protocol.request import Request
    from ..transport.transport import Transport

#: The limits of what may wait for an additional endpoint are those of the queue divided by this.
ADDITIONAL_SHARE = 4
#: Since CPython 3.12 no thread can be started once the interpreter's shutdown has begun.
_NO_THREADS_AT_EXIT = sys.version_info >= (3, 12)
#: Seconds after which a waiting `close` checks again if nothing wakes it.
_LOOK_AGAIN = 0.25


class EndpointState(NamedTuple):
    """The requests to one endpoint.

    Attributes:
        waiting: requests with their sizes; the first one may be in flight.
        closed: whether the remaining requests were counted as failed; nothing is counted
            after that.
    """

    waiting: tuple[tuple[Request, int], ...] = ()
    delivered: int = 0
    failed: int = 0
    closed: bool = False


class AdditionalEndpointWorker:
    """Sends requests to one additional endpoint, one after the other.

    Args:
        when_idle: called on the worker's thread when no request is left.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        max_requests: int,
        max_bytes: int,
        new_transport: Callable[[], Transport],
        log: LogLimiter,
        clock: Callable[[], float],
        *,
        new_executor: Callable[[int, str], ThreadPoolExecutor] = unjoined_executor,
        start_thread: Callable[[Callable[[], None], str], bool] = start_thread,
        when_idle: Callable[[], None] | None = None,
    ) -> None:
        self._name = f"additional endpoint {endpoint.url}"
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._new_transport = new_transport
        self._log = log
        lost = ("copy was dropped", "copies were dropped")
        self._outages = Outages(log, lambda: self.failed, clock, lost=lost)
        self._clock = clock
        self._new_executor = new_executor
        self._start_thread = start_thread
        self._when_idle = when_idle
        self._transport: Transport | None = None
        self._executor: ThreadPoolExecutor | None = None
        # Protects changes of `_state`, each a single assignment. Held only briefly, never during
        # a request. `close` runs on the host's thread, whose signal handlers may raise.
        self._lock = SignalSafeLock()
        self._state = EndpointState()
        # Held by the one thread that sends; as in `TrackWorker`.
        self._at_work = threading.RLock()
        self._at_work_ident: int | None = None
        # Set when the worker stops working.
        self._left = AutoResetEvent()
        # The reserve thread: whether there is one, whether it has to work, and its event.
        self._has_reserve = False
        self._is_handed_over = False
        self._reserve_needed = AutoResetEvent()

    def put(self, request: Request, size: int) -> None:
        """Queue a request of `size` bytes, or count it as failed if too much waits."""
        with self._lock:
            state = self._state
            held = sum(waiting for _, waiting in state.waiting)
            # The first may be in flight: it counts, too.
            too_much = len(state.waiting) >= self._max_requests or held + size > self._max_bytes
            fits = not state.closed and not (held and too_much)
            if fits:
                self._state = state._replace(waiting=(*state.waiting, (request, size)))
            else:
                self._state = state._replace(failed=state.failed + 1)
        if fits:
            self._ensure_working()
        else:
            self._log.note(
                ("additional full", self._name),
                f"{self._name} is too slow: its copies are dropped",
            )

    @property
    def delivered(self) -> int:
        return self._state.delivered

    @property
    def failed(self) -> int:
        return self._state.failed

    @property
    def is_working(self) -> bool:
        return self._at_work_ident is not None or self._is_handed_over

    def reserve_thread(self) -> None:
        """Start a thread that sleeps until no other can be started, as at exit.

        Without it all endpoints would share the thread that ends the program, where name
        resolution has no timeout.
        """
        if _NO_THREADS_AT_EXIT and not self._has_reserve and not self._state.closed:
            self._has_reserve = self._start_thread(self._work_when_needed, "livedebug-reserve")

    @property
    def is_idle(self) -> bool:
        return not self._state.waiting and not self.is_working

    def begin_close(self) -> None:
        """Start a thread that sends waiting requests, if none is working and one can be started."""
        if self._state.waiting and not self.is_working and not self._ensure_working():
            # An executor accepts no more work during interpreter shutdown.
            self._start_thread(self._work, "livedebug-additional")

    def finish(self, deadline: float) -> None:
        """Wait until all requests are sent, or `deadline`; send them here if no thread does."""
        while not self.is_idle and (left := deadline - self._clock()) > 0:
            if self.is_working:
                self._left.wait(min(left, _LOOK_AGAIN))
            else:
                self._work(deadline)

    def close(self) -> None:
        """Count the remaining requests as failed, abort the current one, and let the thread end."""
        with self._lock:
            _, delivered, failed, _ = state = self._state
            self._state = EndpointState((), delivered, failed + len(state.waiting), closed=True)
            transport, idle = self._transport, not self.is_working
        if transport is not None:
            transport.abort()
            if idle:
                transport.close()
        self._reserve_needed.set()
        if self._executor is not None:
            # Without waiting: this may be its own thread, or its thread may hang.
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _ensure_working(self) -> bool:
        if uwsgi_is_to_fork():
            return False
        try:
            if self._executor is None:
                self._executor = self._new_executor(1, "livedebug-additional")
            submit_unjoined(self._executor, self._work)
        # Interpreter shutdown, a thread limit: the reserve thread does the work, or `finish`.
        except (ImportError, RuntimeError) as error:
            reraise_of_signal_handler(error)
            if self._has_reserve:
                self._is_handed_over = True
                self._reserve_needed.set()
            return self._has_reserve
        return True

    def _work_when_needed(self) -> None:
        """The body of the reserve thread."""
        try:
            self._wait_and_work()
        finally:
            self._has_reserve = self._is_handed_over = False

    def _wait_and_work(self) -> None:
        while not self._state.closed:
            self._reserve_needed.wait(None)
            self._work()
            self._is_handed_over = False
            self._left.set()

    def _work(self, deadline: float | None = None) -> None:
        if self._at_work_ident is not None:
            return
        mine, release = False, self._at_work.release
        try:
            if not self._at_work.acquire(blocking=False):
                return
            mine = True
            self._at_work_ident = threading.get_ident()
            self._send_all(deadline)
        finally:
            # No call before the release, since a signal handler could raise after it.
            if mine:
                self._at_work_ident = None
            try:
                release()
            except RuntimeError as error:  # not held by this thread
                reraise_of_signal_handler(error)
            self._left.set()
            if self._state.waiting and deadline is None:
                self._ensure_working()  # put while this one was ending, or it was killed
        if self._when_idle is not None and (deadline is not None or not self._state.waiting):
            self._when_idle()

    # Loops in separate functions: see `TrackWorker`.

    def _send_all(self, deadline: float | None) -> None:
        while (deadline is None or self._clock() < deadline) and self._send_next(deadline):
            pass

    def _send_next(self, deadline: float | None) -> bool:
        """Send the next request; False if there is none."""
        # It stays in `waiting` until it is sent, so a signal handler's exception loses nothing.
        if not self._state.waiting:
            return False
        arrived = self._send(self._state.waiting[0][0], deadline)
        with self._lock:
            waiting, delivered, failed, closed = self._state
            if not closed:  # otherwise it was counted as failed
                self._state = EndpointState(
                    waiting[1:], delivered + arrived, failed + (not arrived)
                )
        return True

    def _send(self, request: Request, deadline: float | None) -> bool:
        try:
            with self._outages.watching(self._name, "", request):
                response = self._connected().post(request, deadline=deadline)
            problem = _problem(response.status, request.endpoint)
            self._log.debug("%s answered %s", self._name, response.status)
        except NoResponse as error:
            problem = f"gives no answer: {error.reason}"
            self._log.debug("%s %s", self._name, problem)
        except BaseException as error:  # an exception must not end the thread
            if deadline is not None and not isinstance(error, Exception):
                raise  # on the host's thread
            reraise_of_signal_handler(error)
            problem = f"failed: {type(error).__name__}"
        if problem:
            self._outages.failed(self._name, "", problem, final=True)
        else:
            self._outages.answered(self._name, "")
        return not problem

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = self._new_transport()
            if self._state.closed:  # `close` was called before there was anything to abort
                self._transport.abort()
        return self._transport


def _problem(status: int, endpoint: Endpoint) -> str:
    """Why an additional endpoint did not accept a request; empty if it did."""
    outcome = outcome_of(status, payloads=1, agent_v2=False)
    if outcome is Outcome.DELIVERED:
        return ""
    if outcome is Outcome.KEY_REFUSED and endpoint.api_key is not None:
        return f"refused the API key ({status})"
    return f"answered {status}"


class DualShipping:
    """The workers of a sender in one process, created when their endpoints are first used."""

    def __init__(self, new_worker: Callable[[Endpoint], AdditionalEndpointWorker]) -> None:
        self._new_worker = new_worker
        # Protects the mapping below while a worker is added.
        self._lock = SignalSafeLock()
        self._workers: dict[tuple[str, str | None], AdditionalEndpointWorker] = {}

    def worker(self, endpoint: Endpoint) -> AdditionalEndpointWorker:
        key = (endpoint.url, endpoint.api_key)
        with self._lock:
            if key not in self._workers:
                self._workers[key] = self._new_worker(endpoint)
            return self._workers[key]

    @property
    def workers(self) -> list[AdditionalEndpointWorker]:
        with self._lock:
            return list(self._workers.values())

    @property
    def is_idle(self) -> bool:
        return all(worker.is_idle for worker in self.workers)

    def close(self, deadline: float, clock: Callable[[], float]) -> None:
        """Wait until all requests are sent, concurrently; count the remaining ones as failed.

        If no thread can be started, each endpoint gets an equal share of the remaining time, so
        that one that hangs takes no time from the others.
        """
        workers = self.workers
        for worker in workers:
            worker.begin_close()
        for n, worker in enumerate(workers):
            if not worker.is_working:
                now = clock()
                worker.finish(now + (deadline - now) / (len(workers) - n))
        for worker in workers:
            worker.finish(deadline)
        for worker in workers:
            worker.close()

    def counts(self) -> tuple[int, int]:
        """Requests delivered and failed."""
        workers = self.workers
        return sum(w.delivered for w in workers), sum(w.failed for w in workers)
