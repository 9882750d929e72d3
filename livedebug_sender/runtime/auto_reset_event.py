"""Waking one sleeping thread, from anywhere."""

from __future__ import annotations

import threading

from .host_signals import reraise_of_signal_handler


class AutoResetEvent:
    """An event that is cleared by the `wait` that it ends.

    A lock that is free once the event is set. `set` is one call that can't be interrupted,
    which `threading.Event` and `threading.Condition` do not offer: a signal handler that
    raises inside those may leave their lock taken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """End a `wait`: the one under way or, if there is none, the next one."""
        try:
            self._lock.release()
        except RuntimeError as error:  # it is set already
            reraise_of_signal_handler(error)

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is set, at most `timeout` seconds; whether it was."""
        if timeout is None:
            return self._lock.acquire()
        return timeout > 0 and self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))
