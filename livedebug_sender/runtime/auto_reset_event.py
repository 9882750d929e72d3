"""Wakes one sleeping thread, from anywhere."""

from __future__ import annotations

import threading

from .host_signals import reraise_of_signal_handler


class AutoResetEvent:
    """An event that is cleared by the `wait` that it ends.

    It is a lock that is released when the event is set. `threading.Event` and
    `threading.Condition` would not do: a signal handler that raises inside them may leave their
    lock held.

    Attributes:
        release: what `set` calls, as a single call of C, so that no signal handler can raise
            between the caller's last step and it; a `RuntimeError` if the event is set already.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.release = self._lock.release

    def set(self) -> None:
        """End the current `wait` or, if there is none, the next one."""
        try:
            self._lock.release()
        except RuntimeError as error:  # it is set already
            reraise_of_signal_handler(error)

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is set, at most `timeout` seconds; returns whether it was set."""
        if timeout is None:
            return self._lock.acquire()
        return timeout > 0 and self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))
