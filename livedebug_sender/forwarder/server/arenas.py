"""How much memory the C library keeps for threads."""

from __future__ import annotations

import ctypes

#: Of glibc's malloc.h.
_M_ARENA_MAX = -8


def use_one_arena() -> None:
    """Let all threads of this process, and of its forks, share one heap, where glibc is used.

    Else each of the first dozens of threads gets one of its own, and keeps the memory of the
    bodies it had: a tenth of the forwarder's memory. Threads that share an interpreter's lock
    gain nothing by that.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    except (AttributeError, OSError):  # another C library
        pass
