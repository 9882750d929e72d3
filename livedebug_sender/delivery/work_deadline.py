"""The deadline of the work on one track, and its waits between retries."""

from __future__ import annotations

import math
from collections.abc import Callable

from .ledger import Ledger
from .payload_queue import PayloadQueue


class OutOfTime(Exception):
    """The timeout of the caller whose thread does the work is over; nothing is lost."""


class WorkDeadline:
    """Shared by the threads that work on a track or close it.

    Each attribute is written by one thread and read by others, in single assignments.
    """

    def __init__(self, queue: PayloadQueue, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._queue = queue
        self._ledger = ledger
        self._clock = clock
        #: No more payloads are accepted: queued ones are sent, then the worker ends.
        self.closing = False
        #: No request continues after this time (seconds of the clock).
        self.shutdown_deadline = math.inf
        #: The deadline of the caller of `flush` or `close` on whose thread the work is done;
        #: None while the worker's own thread does it.
        self.borrowed_until: float | None = None
        #: Whether the wait that was in progress when the close began was interrupted.
        self._had_last_try = False

    def close_by(self, deadline: float) -> None:
        self.shutdown_deadline = min(deadline, self.shutdown_deadline)
        self.closing = True

    def of_request(self) -> float | None:
        """When a request must end, apart from its own timeout; None: no such deadline."""
        until = min(self.shutdown_deadline, self.borrowed_until or math.inf)
        return None if until == math.inf else until

    def of_retries(self) -> float | None:
        """The end of the shutdown, after which no attempt starts; None before a close."""
        return self.shutdown_deadline if self.closing else None

    def wait(self, seconds: float) -> None:
        """Wait before a retry. A close ends the first wait early, for one last attempt.

        Raises:
            OutOfTime: the timeout of the caller whose thread does the work is over.
        """
        end = self._clock() + seconds
        while not self._ledger.abandoned:
            now = self._clock()
            if now >= end:
                return
            if self.borrowed_until is not None and now >= self.borrowed_until:
                raise OutOfTime
            if self.closing and not self._had_last_try:
                self._had_last_try = True
                return
            self._queue.sleep(min(end, self.borrowed_until or end) - now)
