"""Bounds on time: how long a request may take, and how another thread ends it."""

from __future__ import annotations

from collections.abc import Callable

from ..runtime.clock import monotonic

#: Bytes of a body that have to go out within one timeout.
BYTES_PER_TIMEOUT = 1024 * 1024


class RequestDeadline:
    """The time that one transport's requests have; one after the other, for one thread.

    Times are seconds of `runtime.clock.monotonic`. The timeouts of sockets are for each read: an
    answer that drips a byte a second never ends. So each phase of a request (connect,
    write, read) gets a point in time until which all of it has to be done.
    """

    def __init__(self) -> None:
        #: No request goes on after that.
        self.at = float("inf")
        self.aborted = False
        self._interrupt: Callable[[], None] | None = None

    def until(self, timeout: float) -> float:
        """When a phase that may take `timeout` seconds has to be done."""
        return min(monotonic() + timeout, self.at)

    def remaining(self, until: float) -> float:
        """Seconds until then, more than 0.

        Raises:
            TimeoutError: that is over.
            ConnectionAbortedError: the requests were aborted.
        """
        if self.aborted:
            raise ConnectionAbortedError("aborted")
        left = until - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def interrupted_by(self, interrupt: Callable[[], None] | None) -> None:
        """What `abort` calls from now on, to end the wait of the request's thread.

        Raises:
            ConnectionAbortedError: `abort` was called. Checked after the change, since an
                `abort` in between has called what was set before.
        """
        self._interrupt = interrupt
        if self.aborted:
            raise ConnectionAbortedError("aborted")

    def abort(self) -> None:
        """End the request under way, from another thread, and let none follow it."""
        self.aborted = True
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()
