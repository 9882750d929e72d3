"""Waking one sleeper, from anywhere."""

from __future__ import annotations

import threading

from ..runtime.host_signals import reraise_of_signal_handler


class Bell:
    """A lock that is free once it was rung.

    Ringing is one call that can't be interrupted, which is more than `threading.Event`
    and `threading.Condition` can say: a signal handler that raises inside those may leave
    their lock taken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the sleeper, now or, if there is none, when it next would sleep."""
        try:
            self._lock.release()
        except RuntimeError as error:  # it was rung before
            reraise_of_signal_handler(error)

    def wait(self, timeout: float | None) -> None:
        """Wait for a ring, at most `timeout` seconds."""
        if timeout is None:
            self._lock.acquire()
        elif timeout > 0:
            self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))
