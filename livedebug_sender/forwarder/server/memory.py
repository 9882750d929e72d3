"""How much memory the C library keeps, where that is glibc."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...units import MiB

#: Of glibc's malloc.h.
_M_ARENA_MAX = -8

#: Bytes by which a process may grow before what it freed is given back, and seconds between
#: two times: a page that is given back costs a fault when it is needed again.
KEPT = 4 * MiB
_EVERY = 5.0


def use_one_arena() -> None:
    """Let all threads of this process, and of its forks, share one heap.

    Else each of the first dozens of threads gets one of its own, and keeps the memory of the
    bodies it had: a tenth of the forwarder's memory. Threads that share an interpreter's lock
    gain nothing by that.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


class FreedMemory:
    """Gives back to the system what is free in the middle of the heap.

    By itself glibc gives back the end of it only: one small object behind the bodies that
    waited out an outage, and their memory is kept for good.

    Args:
        measure: how many bytes this process has; None: `resident`.
        give_back: as glibc's ``malloc_trim(0)``; None: there is no such thing.
    """

    def __init__(
        self,
        measure: Callable[[], int] | None = None,
        give_back: Callable[[], object] | None = None,
    ) -> None:
        self._measure = measure or resident
        trim = _of_glibc("malloc_trim")
        self._give_back = give_back or (None if trim is None else lambda: trim(0))
        self._at_first = self._measure()
        self._not_before = 0.0

    def look(self, now: float) -> None:
        """To be called about every second, with the seconds of a clock."""
        if self._give_back is None or now < self._not_before:
            return
        if self._measure() > self._at_first + KEPT:
            self._give_back()
            self._not_before = now + _EVERY


def _of_glibc(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):  # another C library
        return None


def resident() -> int:
    """Bytes of this process that are in memory; 0 where that can't be had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
