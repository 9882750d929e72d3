"""The age of requests, even if the clock is set: `--max-age` drops requests answered 202."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: If the wall clock is this many seconds ahead of what was expected, it was set.
_JUMP = 60.0


def _elapsed() -> float:
    """Seconds, by a clock that can't be set; if available, one that runs during suspend."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class AgeClock:
    """Computes ages of received requests, ignoring jumps of the wall clock.

    Otherwise everything in the queue would expire at once when a clock is corrected by hours. If
    the clock is set back, requests appear younger than they are, and none is dropped for that.

    Args:
        wall: seconds since 1970, the clock of the requests' timestamps.
        elapsed: seconds of a clock that is never set.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = _elapsed,
    ) -> None:
        self.wall = wall
        self._elapsed = elapsed
        # Protects what follows.
        self._lock = threading.Lock()
        self._offset = wall() - elapsed()
        #: (the wall clock's time when it was set forward, by how many seconds).
        self._jumps: list[tuple[float, float]] = []

    def is_older(self, received_at: float, seconds: float) -> bool:
        # The cheap check first, since each delivery asks: most are not, by either clock.
        return self.wall() - received_at > seconds and self.age(received_at) > seconds

    def age(self, received_at: float) -> float:
        """Seconds; negative for a timestamp in the future."""
        with self._lock:
            now = self.wall()
            offset = now - self._elapsed()
            ahead = offset - self._offset
            if ahead > _JUMP:
                self._jumps.append((now - ahead, ahead))
            # Smaller steps are regular corrections of the clock, which don't accumulate.
            self._offset = offset
            return now - received_at - sum(by for at, by in self._jumps if received_at <= at)
