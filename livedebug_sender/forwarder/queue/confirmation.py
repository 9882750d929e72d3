"""Blocks a thread until its request is stored."""

from __future__ import annotations

import threading

from .request_queue import PutRefused, late


class Confirmation:
    """A `PutCallback` that one thread waits for."""

    def __init__(self) -> None:
        # Held until the call; an event would take two locks.
        self._pending = threading.Lock()
        self._pending.acquire()
        self._refused: PutRefused | None = None

    def __call__(self, refused: PutRefused | None) -> None:
        self._refused = refused
        self._pending.release()

    def wait(self, timeout: float) -> None:
        """Wait for the call, at most `timeout` seconds.

        Raises:
            PutRefused: what it was called with; QueueUnavailable if it was not in time.
        """
        if not self._pending.acquire(timeout=timeout):
            raise late()
        if self._refused is not None:
            raise self._refused
