"""Makes a write to a closed connection an error, even if SIGPIPE would end the process.

Python ignores SIGPIPE by default. A program that should end when its output is closed
(``signal.signal(SIGPIPE, SIG_DFL)``) would also be ended by one of our connections.
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
    """Call a function that writes; a closed connection is an error without the signal.

    The signal is sent to the thread that writes, so it is enough to block it in this thread.
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
                signal.sigwait({signal.SIGPIPE})  # when unblocked, it would end the process
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
