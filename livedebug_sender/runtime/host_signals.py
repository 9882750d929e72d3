"""Recognizes exceptions raised by the host's signal handlers.

A handler runs between any two instructions of the main thread, so its exception (a host's
timeout, for example) is raised in whatever code runs there, and must reach the host.
Exceptions from the host's log filters and callbacks are raised in the same places, and must not.
"""

from __future__ import annotations

import inspect
import signal
from functools import partial
from itertools import pairwise
from types import CodeType, FrameType

#: Maximum number of exceptions examined in a chain of causes, which may be circular.
_MAX_CAUSES = 20


def raised_by_signal_handler(error: BaseException) -> bool:
    """Whether the exception was raised by a signal handler.

    The handler may have uninstalled itself before it raised.
    """
    return _of_signal_handler(error) is not None


def reraise_of_signal_handler(error: BaseException) -> None:
    """Raise the exception again if it was raised by a signal handler.

    For `except` clauses that expect an exception of that type from a socket, a file or a parser:
    a host's timeout is often a `TimeoutError`, which is an `OSError`.
    """
    origin = _of_signal_handler(error)
    if origin is not None:
        raise origin


def _of_signal_handler(error: BaseException | None) -> BaseException | None:
    """The exception, or one of its causes, if that was raised by a handler.

    Codecs of Python 3.11 and older, such as that of host names, wrap exceptions. This does not
    follow ``__context__``: any exception raised while the host handles its own timeout has it.
    """
    handlers: set[CodeType | None] = set()
    for _ in range(_MAX_CAUSES):
        if error is None:
            return None
        traceback = error.__traceback__
        # The first frame is that of the function that caught it; nearly always it is the only one,
        # and getting the handlers takes longer than all the rest.
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
    """The code objects of the handlers that are installed now."""
    return {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}


def _is_called_as_handler(frame: FrameType, caller: FrameType) -> bool:
    """Whether a function was called with a signal's number and its caller's frame, as handlers are.

    Never call this for the frame that caught the exception: reading its variables creates a copy
    of them (until Python 3.12) that contains this exception. That is a reference cycle, which
    keeps the variables of all callers, including batches, alive until the next garbage collection.
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
