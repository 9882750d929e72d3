"""Bounds a request in time, and lets another thread abort it."""

from __future__ import annotations

from collections.abc import Callable

from ..runtime.clock import monotonic

#: Bytes of a body that have to be sent within one timeout.
BYTES_PER_TIMEOUT = 1024 * 1024


class RequestDeadline:
    """The deadline of the requests of one transport, which makes one at a time.

    Times are seconds of `runtime.clock.monotonic`. A socket's timeout applies to each read, so a
    response that arrives at a byte a second would never time out. Therefore each phase of a
    request (connect, write, read) has a point in time by which it must be complete.
    """

    def __init__(self) -> None:
        #: When every request must have ended.
        self.at = float("inf")
        self.aborted = False
        self._interrupt: Callable[[], None] | None = None

    def until(self, timeout: float) -> float:
        """When a phase that may take `timeout` seconds must be complete."""
        return min(monotonic() + timeout, self.at)

    def remaining(self, until: float) -> float:
        """Seconds until then, more than 0.

        Raises:
            TimeoutError: that time has passed.
            ConnectionAbortedError: the requests were aborted.
        """
        if self.aborted:
            raise ConnectionAbortedError("aborted")
        left = until - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def interrupted_by(self, interrupt: Callable[[], None] | None) -> None:
        """Set the function by which `abort` ends the wait of the request's thread, or None.

        Raises:
            ConnectionAbortedError: `abort` was called. This is checked after the change, since
                a concurrent `abort` may have called the previous one.
        """
        self._interrupt = interrupt
        if self.aborted:
            raise ConnectionAbortedError("aborted")

    def abort(self) -> None:
        """Abort the current request, from another thread; later ones fail at once."""
        self.aborted = True
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()
