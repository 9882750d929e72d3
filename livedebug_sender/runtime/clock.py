"""Clocks that keep running when the host freezes its own.

Libraries such as freezegun replace `time.monotonic` in tests: it stops or jumps, and a wait
measured by it never ends, or ends at once. They replace functions of the `time` module, but
not objects that call them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

#: Seconds, with the same reference point as `time.monotonic` (not frozen).
monotonic: Callable[[], float]
if sys.platform == "linux":
    # The same clock as `time.monotonic` there. A module imported during a freeze would get
    # the frozen function by that name; and time-machine changes the function itself.
    monotonic = partial(time.clock_gettime, time.CLOCK_MONOTONIC)
else:
    monotonic = partial(time.monotonic)

#: Seconds since 1970 (not frozen).
wall_clock: Callable[[], float]
if sys.platform == "linux":
    wall_clock = partial(time.clock_gettime, time.CLOCK_REALTIME)
else:
    wall_clock = partial(time.time)
