"""Which core a worker runs on."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from ...runtime.atomic import HAS_GIL


def cores_of_workers(workers: int) -> list[int]:
    """A core for each worker, of those this process may use; none if workers are to use all.

    Of the threads that share an interpreter lock one runs at a time. Spread over cores, each
    hand-over of the lock wakes another core, which cost half of a request's time
    (docs/performance.rst).
    """
    if not HAS_GIL:
        return []
    try:
        cores = sorted(os.sched_getaffinity(0))
    except OSError:  # a sandbox that forbids it
        return []
    # Several forwarders with few workers, sidecars for example, must not all use the same cores.
    first = secrets.randbelow(len(cores)) if workers < len(cores) else 0
    return [cores[(first + index) % len(cores)] for index in range(workers)]


def use_core(core: int) -> None:
    """Let this process, with the threads that it starts from now on, run on one core only."""
    with suppress(OSError):  # a sandbox that forbids it, or the core was taken away
        os.sched_setaffinity(0, {core})
