"""A clock that goes on when a host freezes its own.

freezegun and its like replace `time.monotonic` in tests: it stands still, or jumps, and a
wait that is measured by it never ends, or ends at once. They replace functions of the `time`
module, and not what calls one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

#: Seconds, of the same beginning as `time.monotonic` (not frozen).
monotonic: Callable[[], float]
if sys.platform == "linux":
    # What `time.monotonic` is there. A module loaded in the middle of a freeze would get a
    # frozen one by that name; and time-machine changes it for those who have it already.
    monotonic = partial(time.clock_gettime, time.CLOCK_MONOTONIC)
else:
    monotonic = partial(time.monotonic)

#: Seconds since 1970 (not frozen).
wall_clock: Callable[[], float]
if sys.platform == "linux":
    wall_clock = partial(time.clock_gettime, time.CLOCK_REALTIME)
else:
    wall_clock = partial(time.time)
