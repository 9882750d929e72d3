"""Telling an exception of the host's signal handler from one that we called for.

A handler runs between any two instructions of the main thread, so what it raises (a
host's time-out) comes up in whatever runs there, and has to reach the host. What the
host's log filters and callbacks raise comes up in the same places, and must not.
"""

from __future__ import annotations

import signal
from functools import partial
from types import CodeType

#: Exceptions in a chain of causes that are looked at; it may be a circle.
_MAX_CAUSES = 20


def raised_by_signal_handler(error: BaseException) -> bool:
    """Whether the exception came out of a signal handler that is registered now."""
    return _of_signal_handler(error) is not None


def reraise_of_signal_handler(error: BaseException) -> None:
    """Raise the exception again if it came out of a signal handler.

    For where an exception of that type is expected of a socket, a file or a parser: a host's
    time-out is often a `TimeoutError`, which is an `OSError`.
    """
    origin = _of_signal_handler(error)
    if origin is not None:
        raise origin


def _of_signal_handler(error: BaseException | None) -> BaseException | None:
    """The exception itself, or what it was raised from, if that came out of a handler.

    A codec of Python 3.11 and older, that of host names say, wraps what comes up in it. Not by
    ``__context__``: all that is raised while a host handles its own time-out has that one.
    """
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    for _ in range(_MAX_CAUSES):
        if error is None:
            return None
        traceback = error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code in handlers:
                return error
            traceback = traceback.tb_next
        error = error.__cause__
    return None


def _code_of(handler: object) -> CodeType | None:
    if not callable(handler):  # SIG_DFL, SIG_IGN, or set by C
        return None
    while isinstance(handler, partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    if not hasattr(function, "__code__"):
        function = type(handler).__call__  # an object that is called
    return getattr(function, "__code__", None)
