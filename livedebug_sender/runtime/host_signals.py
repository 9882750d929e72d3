"""Telling an exception of the host's signal handler from one that we called for.

A handler runs between any two instructions of the main thread, so what it raises (a
host's time-out) comes up in whatever runs there, and has to reach the host. What the
host's log filters and callbacks raise comes up in the same places, and must not.
"""

from __future__ import annotations

import inspect
import signal
from functools import partial
from itertools import pairwise
from types import CodeType, FrameType

#: Exceptions in a chain of causes that are looked at; it may be a circle.
_MAX_CAUSES = 20


def raised_by_signal_handler(error: BaseException) -> bool:
    """Whether the exception came out of a signal handler.

    Of one that is registered now, or that was and took itself out before it raised.
    """
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
    handlers: set[CodeType | None] = set()
    for _ in range(_MAX_CAUSES):
        if error is None:
            return None
        traceback = error.__traceback__
        # The first frame is of the function that caught it; nearly always it is the only one,
        # and to ask for the handlers takes longer than all the rest.
        if traceback is not None and traceback.tb_next is not None:
            handlers = handlers or _registered()
        while traceback is not None and traceback.tb_next is not None:
            caller, traceback = traceback.tb_frame, traceback.tb_next
            frame = traceback.tb_frame
            if frame.f_code in handlers or _is_called_as_handler(frame, caller):
                return error
        error = error.__cause__
    return None


def _registered() -> set[CodeType | None]:
    """The code of the handlers that there are now."""
    return {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}


def _is_called_as_handler(frame: FrameType, caller: FrameType) -> bool:
    """Was a function given a signal's number and its caller's frame, as handlers are?

    Not to be asked of the function that caught the exception. Looked into, it would have a copy
    of its variables (until Python 3.12), and this exception in it: a circle, which keeps all that
    its callers have in hand, batches too, until the garbage collector comes.
    """
    code, given = frame.f_code, frame.f_locals
    has_varargs = bool(code.co_flags & inspect.CO_VARARGS)
    arguments: list[object] = []
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + has_varargs]:
        value = given.get(name)
        arguments += value if type(value) is tuple else [value]
    return any(type(number) is int and second is caller for number, second in pairwise(arguments))


def _code_of(handler: object) -> CodeType | None:
    if not callable(handler):  # SIG_DFL, SIG_IGN, or set by C
        return None
    while isinstance(handler, partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    if not hasattr(function, "__code__"):
        function = type(handler).__call__  # an object that is called
    return getattr(function, "__code__", None)
