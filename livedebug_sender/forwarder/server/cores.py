"""Which core a worker runs on."""

from __future__ import annotations

import os
from contextlib import suppress

from ...runtime.atomic import HAS_GIL


def use_one_core(index: int) -> None:
    """Let this process, with the threads that it starts from now on, run on one core only.

    Of the threads that share an interpreter lock one runs at a time. Spread over cores, each
    hand-over of the lock wakes another core, which cost half of a request's time
    (docs/performance.rst). Without that lock nothing is done.

    Args:
        index: of the worker; the next one gets the next core, of those this process may use.
    """
    if not HAS_GIL:
        return
    cores = sorted(os.sched_getaffinity(0), reverse=True)  # interrupts are mostly on the first
    with suppress(OSError):  # a sandbox that forbids it
        os.sched_setaffinity(0, {cores[index % len(cores)]})
