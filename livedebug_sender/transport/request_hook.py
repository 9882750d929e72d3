"""The hook `around_request`: enters its context manager and catches its exceptions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ..runtime.host_signals import reraise_of_signal_handler
from ..runtime.log_limiter import LogLimiter

#: Creates the context manager for one request.
AroundRequest = Callable[[], AbstractContextManager[object]]


def without_faults(hook: AroundRequest, log: LogLimiter) -> AroundRequest:
    """The same hook, but its exceptions are logged, and the request is sent anyway."""

    def note(error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt) and _is_main_thread():
            raise error  # Ctrl-C by the user
        reraise_of_signal_handler(error)  # in `flush` or `close`, on the host's thread
        log.note("around_request", f"around_request raised {type(error).__name__}")

    @contextmanager
    def around() -> Iterator[None]:
        try:
            manager = hook()
            manager.__enter__()
        except BaseException as error:
            note(error)
            yield
            return
        try:
            yield
        finally:
            try:
                # Never with the request's own exception, which may contain the API key.
                manager.__exit__(None, None, None)
            except BaseException as error:
                note(error)

    return around


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
