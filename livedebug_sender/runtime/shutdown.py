"""Closes senders that are still open when the process ends."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .fork import OwnedByThisProcess


class Closeable(Protocol):
    """An object that is closed in two steps, so that several share one timeout."""

    owned_by_this_process: OwnedByThisProcess

    def begin_close(self) -> float:
        """Begin to close, without waiting; returns the deadline for `finish_close`."""

    def finish_close(self, deadline: float) -> bool:
        """Wait until it is closed, at most until `deadline`."""


# What is still open, by identity. Changed only by single dict operations, which can't be
# interrupted.
_open: dict[int, Closeable] = {}
#: The exit hook in a child of multiprocessing.
_finalizer: Any = None


def register(closeable: Closeable) -> None:
    """Close it when the process ends, unless it is unregistered before."""
    _open[id(closeable)] = closeable
    _hook_into_multiprocessing()


def unregister(closeable: Closeable) -> None:
    _open.pop(id(closeable), None)


def registered() -> tuple[Closeable, ...]:
    """What would be closed if this process ended now."""
    return tuple(one for one in _open.copy().values() if one.owned_by_this_process[0])


def close_all() -> None:
    """Close everything that is still open concurrently, within the longest of the timeouts.

    Raises:
        BaseException: the first that any of them raised, after all of them were closed.
    """
    problems: list[BaseException] = []
    closing: list[tuple[Closeable, float]] = []
    for one in registered():
        try:
            closing.append((one, one.begin_close()))
        except BaseException as error:  # from a signal handler of the host
            problems.append(error)
    for one, deadline in closing:
        try:
            one.finish_close(deadline)
        except BaseException as error:
            problems.append(error)
    if problems:
        raise problems[0]


def _hook_into_multiprocessing() -> None:
    """Close at the end of a child of multiprocessing, which ends by os._exit without atexit."""
    global _finalizer
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if not util or not process or process.parent_process() is None:
        return
    # One per process. Not bound to one of our objects, or it would run when that is
    # garbage-collected.
    if _finalizer is None or not _finalizer.still_active():
        _finalizer = util.Finalize(None, close_all, exitpriority=100)


def _after_fork_in_child() -> None:
    global _finalizer
    _open.clear()
    _finalizer = None


# Registered at import, hence usually before the host's handlers: they run in reverse order, so
# payloads that those enqueue are still accepted.
atexit.register(close_all)

# uWSGI runs these handlers from one of C's `exit`, which it registers after it has loaded the
# application. C's run in reverse order, too: if OpenSSL is initialized later than that, it is
# cleaned up first, and TLS raises, or crashes the process. The import initializes it; unlike
# that of `ssl`, it does not disturb gevent.
if "uwsgi" in sys.modules:
    import hashlib  # noqa: F401

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
