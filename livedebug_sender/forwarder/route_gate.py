"""A circuit breaker for a route: while its intake is down, one request probes, others wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..delivery.backoff import wait_before_retry

#: Seconds between two probes of an intake that refuses the key.
KEY_REFUSED_DELAY = 60.0


class RouteGate:
    """Shared by the threads that deliver a route's requests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Protects everything below.
        self._changed = threading.Condition()
        #: When the next probe may pass; None while the route is up.
        self._probe_at: float | None = None
        self._probing = False
        self._failures = 0
        self._turn = 0
        self._closed = False

    @property
    def is_down(self) -> bool:
        with self._changed:
            return self._probe_at is not None

    def enter(self) -> int | None:
        """Wait until a request may be sent.

        Returns:
            A number to pass to `failed`; None: the gate is closed.
        """
        with self._changed:
            while not self._closed:
                if self._probe_at is None:
                    return self._turn
                left = self._probe_at - self._clock()
                if not self._probing and left <= 0:
                    self._probing = True
                    return self._turn
                self._changed.wait(None if self._probing else left)
            return None

    def succeeded(self) -> bool:
        """Note that a request was answered: delivered or rejected.

        Returns:
            Whether the route was down before.
        """
        with self._changed:
            was_down = self._probe_at is not None
            self._probe_at = None
            self._probing = False
            self._failures = 0
            self._turn += was_down
            self._changed.notify_all()
            return was_down

    def failed(self, turn: int, retry_after: float | None, at_least: float = 0.0) -> float:
        """Note that a request found the route down; returns the seconds until the next probe.

        Args:
            turn: what `enter` returned. The failure of a request that began before the route was
                known to be down is not counted again.
            at_least: minimum seconds until the next probe.
        """
        with self._changed:
            if turn == self._turn:
                self._turn += 1
                self._failures += 1
                self._probing = False
                delay = max(at_least, wait_before_retry(self._failures, retry_after))
                self._probe_at = self._clock() + delay
                self._changed.notify_all()
            return max(0.0, (self._probe_at or 0.0) - self._clock())

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
