"""A lock that an exception from a host's signal handler can't leave held."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .host_signals import reraise_of_signal_handler


class SignalSafeLock:
    """A re-entrant lock for `with`, on threads where a signal handler may raise.

    Since CPython 3.14 `with` calls ``__enter__`` like any function, and handles signals after
    the call but before the block is entered: an exception from a handler there leaves a lock of
    `threading` held for ever. So here ``__enter__`` itself releases the lock in that case.
    ``__exit__`` is the lock's own, in C: signals are not handled before the call, and after it
    the lock is released.
    """

    # `with` looks these up in the class, and a slot gives each instance its own.
    __slots__ = ("__enter__", "__exit__", "acquire", "release")

    if TYPE_CHECKING:

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def __init__(self) -> None:
        lock = threading.RLock()
        acquire, release = self.acquire, self.release = lock.acquire, lock.release

        def enter() -> None:
            try:
                acquire()
            except BaseException:
                # The lock may not be held: a handler also runs during the wait for it. A thread
                # that holds the lock never waits, so this can't release an outer hold.
                try:
                    release()
                except RuntimeError as error:  # it was not held
                    reraise_of_signal_handler(error)
                raise

        self.__enter__ = enter  # type: ignore[method-assign]
        self.__exit__ = lock.__exit__  # type: ignore[method-assign,assignment]
