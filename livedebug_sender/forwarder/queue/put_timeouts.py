"""Refuses requests that a queue does not store in time."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from time import monotonic

from ...runtime.threads import start_thread
from .request_queue import (
    PUT_MARGIN,
    RETRY_AFTER,
    PutCallback,
    PutRefused,
    QueueUnavailable,
    RequestQueue,
    late,
    shutting_down,
)
from .stored_request import StoredRequest

logger = logging.getLogger("livedebug_sender")

#: Seconds between two checks.
CHECK_EVERY = 1.0


class PutTimeouts:
    """Calls back for `put_async` in time, and once: what the queue confirms then is ignored.

    On a thread of its own, since a disk that hangs blocks those that use it.

    Args:
        queue: whose requests.
        put_timeout: of its options, in seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self, queue: RequestQueue, put_timeout: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._queue = queue
        self._timeout = put_timeout + PUT_MARGIN
        self._clock = clock
        self._numbers = itertools.count()
        #: When each is overdue, in that order. Only single operations of a dict: whoever takes
        #: one out calls back.
        self._pending: dict[int, tuple[float, PutCallback]] = {}
        # Guards: starting the thread.
        self._lock = threading.Lock()
        self._started = False
        self._stopped = threading.Event()

    def put(self, request: StoredRequest, callback: PutCallback) -> None:
        """As `RequestQueue.put_async`, but `callback` is called at the latest at the timeout."""
        if not self._started and not self._start():
            callback(QueueUnavailable("no thread can be started", RETRY_AFTER))
            return
        number = next(self._numbers)
        self._pending[number] = self._clock() + self._timeout, callback
        try:
            self._queue.put_async(request, lambda refused: self._call_back(number, refused))
        except BaseException as error:
            if self._pending.pop(number, None) is not None:
                raise
            logger.error("a put failed after its answer: %s", type(error).__name__)

    def refuse_overdue(self) -> None:
        now = self._clock()
        for number, (overdue_at, _) in self._in_order():
            if overdue_at > now:
                break
            self._call_back(number, late())

    def close(self) -> None:
        """Refuse what is pending; the queue is closed."""
        self._stopped.set()
        for number, _ in self._in_order():
            self._call_back(number, shutting_down())

    def _in_order(self) -> list[tuple[int, tuple[float, PutCallback]]]:
        while True:
            try:
                return list(self._pending.items())
            except RuntimeError:  # a finalizer, run in the middle, let another thread change it
                continue

    def _call_back(self, number: int, refused: PutRefused | None) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            return
        try:
            pending[1](refused)
        except Exception as error:  # ours; the queue's thread has to go on
            logger.error("a confirmation failed: %s", type(error).__name__)

    def _start(self) -> bool:
        with self._lock:
            if not self._started:
                self._started = start_thread(self._run, "livedebug-put-timeouts")
            return self._started

    def _run(self) -> None:
        while not self._stopped.wait(CHECK_EVERY):
            self.refuse_overdue()
