"""Writing to a peer that is gone: an error, also where a host has that end the process.

Python ignores SIGPIPE from its start on. A program that is to end with whoever reads its
output (``signal.signal(SIGPIPE, SIG_DFL)``) would end with a connection of ours, too.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def without_sigpipe(
    write: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Call what writes, and let it fail without the signal.

    That is sent to the thread that writes, so it is enough that this one holds it back.
    """
    if sys.platform == "win32" or signal.getsignal(signal.SIGPIPE) is not signal.SIG_DFL:
        return write(*args, **kwargs)
    if signal.SIGPIPE in signal.pthread_sigmask(signal.SIG_BLOCK, ()):  # by the host
        return write(*args, **kwargs)
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        return write(*args, **kwargs)
    finally:
        try:
            if signal.SIGPIPE in signal.sigpending():
                signal.sigwait({signal.SIGPIPE})  # it would end the process once let through
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
