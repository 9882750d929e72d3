"""A lock that no exception of a host's signal handler can leave taken."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .host_signals import reraise_of_signal_handler


class SignalSafeLock:
    """A re-entrant lock for `with`, on threads where a signal handler may raise.

    Since CPython 3.14 `with` calls ``__enter__`` as it calls any function, and looks for
    signals after the call but before the block is entered: what a handler raises there leaves
    a lock of `threading` taken for good. So here ``__enter__`` gives back what it took.
    ``__exit__`` is the lock's own, in C: after its call the lock is free, before it
    nothing is looked for.
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
                # Taken, or not: a handler also runs while the lock is waited for. It never
                # is by a thread that holds it, so that nobody else's hold is given back.
                try:
                    release()
                except RuntimeError as error:  # it was not taken
                    reraise_of_signal_handler(error)
                raise

        self.__enter__ = enter  # type: ignore[method-assign]
        self.__exit__ = lock.__exit__  # type: ignore[method-assign,assignment]
