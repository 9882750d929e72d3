"""Writes the lines of a `LogLimiter` on its own thread, without a call of `report`.

Lines should appear within seconds, but `enqueue` must not write them (the host may hold
a lock of its log handler), and a worker may be in a request for a minute. So a thread
writes them. It runs only while there is something to write, or a request that may take
long: without problems none is started, and an idle sender has none. A log handler that
hangs does not delay deliveries either.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .auto_reset_event import AutoResetEvent
from .clock import monotonic
from .log_limiter import QUIET_FOR, LogLimiter
from .threads import start_thread

#: Seconds by which a first line is delayed, so that it can include a count, and between two
#: attempts to start a thread: were that longer, a problem that is noted soon after a thread has
#: ended would not be logged.
GATHER = 1.0
#: Seconds after which a request without a response is logged. Including the time to detect it
#: and to write the line, this is less than five.
SLOW_AFTER = 3.0
#: Seconds for which an idle thread stays, so that not every long request starts a new one.
_LINGER = 10.0


@dataclass
class _Watched:
    """A request in flight."""

    on_slow: Callable[[float], None]
    since: float
    tell_at: float


class LogReporter(LogLimiter):
    """A `LogLimiter` that writes its lines on its own thread."""

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        start: Callable[[Callable[[], None], str], object] = start_thread,
    ) -> None:
        super().__init__(clock)
        self._start = start
        # Held by the thread while it runs. No thread waits for it.
        self._alive = threading.Lock()
        self._wake = AutoResetEvent()
        #: When the thread's sleep ends; it is woken for lines that are due earlier.
        self._wakes_at = math.inf
        self._closed = False
        self._start_at = float("-inf")
        self._watched: dict[object, _Watched] = {}
        self._busy_until = float("-inf")

    def note(
        self, kind: object, message: str, count: int = 1, level: int = logging.WARNING
    ) -> bool:
        first = super().note(kind, message, count, level)
        if self._alive.locked():
            self._wake_for(kind)
        else:
            self._ensure_thread()
        return first

    @contextmanager
    def watching(self, longest: float, on_slow: Callable[[float], None]) -> Iterator[None]:
        """See `LogLimiter.watching`."""
        if longest <= SLOW_AFTER:
            yield
            return
        me = object()
        now = self._clock()
        self._watched[me] = _Watched(on_slow, now, now + SLOW_AFTER)
        try:
            self._ensure_thread()
            yield
        finally:
            self._watched.pop(me, None)
            self._busy_until = self._clock() + _LINGER

    def close(self) -> None:
        """Write all remaining lines on the calling thread, and let the reporter's thread end.

        Problems noted later (payloads for a closed sender) still get a first line.
        """
        self._closed = True
        self._wake.set()
        self.report(final=True)

    def _ensure_thread(self) -> None:
        # The thread itself takes the lock, so that an exception from a signal handler
        # between two lines here can't leave it held.
        if self._alive.locked():
            return
        now = self._clock()
        if now >= self._start_at:
            self._start_at = now + GATHER
            self._start(self._run, "livedebug-log")

    def _run(self) -> None:
        # Again, for what is noted while this thread releases its lock.
        while self._wait() is not None and self._alive.acquire(blocking=False):
            try:
                self._report_all()
            finally:
                self._alive.release()

    def _report_all(self) -> None:
        wait: float | None = GATHER
        while wait is not None:
            self._sleep(wait)
            self._look_at_requests()
            self.report()
            # Before checking what is due, since the check may miss what is noted now.
            self._wakes_at = math.inf
            wait = self._wait()

    def _sleep(self, seconds: float) -> None:
        """Sleep that long, or less if a new line is due earlier."""
        until = self._clock() + seconds
        self._wakes_at = until
        while self._wake.wait(until - self._clock()):
            if self._closed:
                return
            self._wakes_at = math.inf
            wait = self._wait()
            if wait is not None:
                until = min(until, self._clock() + wait)
            self._wakes_at = until

    def _wake_for(self, kind: object) -> None:
        """Wake the thread if it would sleep beyond the time at which a line of this kind is due."""
        due = max(self._due_at(kind), self._clock() + GATHER)
        if due < self._wakes_at:
            self._wakes_at = due  # so that many notes wake it only once
            self._wake.set()

    def _look_at_requests(self) -> None:
        now = self._clock()
        for watched in list(self._watched.values()):
            if now >= watched.tell_at:
                watched.tell_at = now + QUIET_FOR
                watched.on_slow(now - watched.since)

    def _wait(self) -> float | None:
        """Seconds to sleep; None if this thread is no longer needed."""
        now = self._clock()
        waits = []
        due = self.next_due()
        if due is not None and (due <= now or not self._closed):
            waits.append(min(max(due - now, GATHER), threading.TIMEOUT_MAX))
        if not self._closed and (self._watched or now < self._busy_until):
            waits.append(SLOW_AFTER / 4)
        return min(waits, default=None)
