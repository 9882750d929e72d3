"""Limits how much freed memory glibc keeps."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...units import MiB

#: From glibc's malloc.h.
_M_ARENA_MAX = -8

#: Bytes by which a process may grow before freed memory is returned to the system, and seconds
#: between two returns: a returned page costs a page fault when it is needed again.
KEPT = 4 * MiB
_EVERY = 5.0


def use_one_arena() -> None:
    """Let all threads of this process, and of its forks, share one heap.

    Otherwise each of the first dozens of threads gets its own, and keeps the memory of the bodies
    it handled: a tenth of the forwarder's memory. Under the GIL, separate heaps have no benefit.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


class FreedMemory:
    """Returns free memory in the middle of the heap to the system.

    By itself glibc returns only the end of the heap: one small object allocated after the bodies
    that were queued during an outage would keep their memory for ever.

    Args:
        measure: returns the memory of this process in bytes; None: `resident`.
        give_back: as glibc's ``malloc_trim(0)``; None: there is no such function.
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
        """Call this about every second, with the seconds of a clock."""
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
    """The resident memory of this process in bytes; 0 if unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
