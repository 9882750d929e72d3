"""The end of the process: what was forgotten open is closed."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any, Protocol

from .fork import OwnedByThisProcess


class Closeable(Protocol):
    """What can be closed in two steps, so that several share one timeout."""

    owned_by_this_process: OwnedByThisProcess

    def begin_close(self) -> float:
        """Begin, without waiting; when its time is over, for `finish_close`."""

    def finish_close(self, deadline: float) -> bool:
        """Wait for the end, until `deadline`."""


# What may have to be closed, by identity. Only single dict operations, which nothing can
# interrupt.
_open: dict[int, Closeable] = {}
#: The exit hook in a child of multiprocessing.
_finalizer: Any = None


def register(closeable: Closeable) -> None:
    """Close it at the end of the process, unless it is unregistered before."""
    _open[id(closeable)] = closeable
    _hook_into_multiprocessing()


def unregister(closeable: Closeable) -> None:
    _open.pop(id(closeable), None)


def registered() -> tuple[Closeable, ...]:
    """What is closed if this process ends now."""
    return tuple(one for one in _open.copy().values() if one.owned_by_this_process[0])


def close_all() -> None:
    """Close what is still open, all at once, so that the longest timeout is the whole.

    Raises:
        BaseException: the first that came up in any of them; the others were closed still.
    """
    problems: list[BaseException] = []
    closing: list[tuple[Closeable, float]] = []
    for one in registered():
        try:
            closing.append((one, one.begin_close()))
        except BaseException as error:  # of a host's signal handler
            problems.append(error)
    for one, deadline in closing:
        try:
            one.finish_close(deadline)
        except BaseException as error:
            problems.append(error)
    if problems:
        raise problems[0]


def _hook_into_multiprocessing() -> None:
    """A child of multiprocessing ends by os._exit, without atexit; it has this instead."""
    global _finalizer
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if not util or not process or process.parent_process() is None:
        return
    # One for the process. Not bound to an object of ours: it would run when that is
    # collected, in the middle of the garbage collector.
    if _finalizer is None or not _finalizer.still_active():
        _finalizer = util.Finalize(None, close_all, exitpriority=100)


def _after_fork_in_child() -> None:
    global _finalizer
    _open.clear()
    _finalizer = None


# At import, hence before the host's own handlers, which run in the reverse order: what
# they enqueue is still taken.
atexit.register(close_all)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
