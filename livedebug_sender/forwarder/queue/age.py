"""How old a request is, where the clock may be set: `--max-age` drops what was confirmed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds by which the wall clock is ahead of where it was expected: it was set.
_JUMP = 60.0


def _elapsed() -> float:
    """Seconds, by a clock that nobody sets; where there is one, one that runs while the
    machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class AgeClock:
    """Ages of what was received, in which no one jump of the wall clock counts.

    A clock that is put right by hours would else let all that waits expire at once. Set
    back, it makes requests younger than they are, and none is dropped for that.

    Args:
        wall: seconds since 1970, by which requests are stamped.
        elapsed: seconds, never set.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = _elapsed,
    ) -> None:
        self.wall = wall
        self._elapsed = elapsed
        # Guards: what follows.
        self._lock = threading.Lock()
        self._offset = wall() - elapsed()
        #: (what the wall clock said when it was put forward, by how many seconds).
        self._jumps: list[tuple[float, float]] = []

    def is_older(self, received_at: float, seconds: float) -> bool:
        # Most are not, by any clock: each delivery asks.
        return self.wall() - received_at > seconds and self.age(received_at) > seconds

    def age(self, received_at: float) -> float:
        """Seconds; negative for what seems to come from the future."""
        with self._lock:
            now = self.wall()
            offset = now - self._elapsed()
            ahead = offset - self._offset
            if ahead > _JUMP:
                self._jumps.append((now - ahead, ahead))
            # Smaller steps are a clock that is kept right, and add up to nothing.
            self._offset = offset
            return now - received_at - sum(by for at, by in self._jumps if received_at <= at)
