"""Loading `requests` and what comes with it late, and never half-way through a fork.

What a sender is made of is imported when one is made, not with the package. And
importing `requests` takes a tenth of a second, which the host's own request must not pay,
and `ssl` must not be loaded before a host had its chance to patch it (gevent). So the
worker thread imports them when it first needs them. A fork in the middle of that would
leave the child with half-loaded modules: a fork waits until the import is done.
"""

from __future__ import annotations

# Fork hooks run in the reverse order of their registration. That of `logging`, which
# takes a lock that imports need (`getLogger`), must come after ours, so be there before.
import logging  # noqa: F401
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from types import ModuleType

    from ..delivery.engine import Engine
    from ..transport.transport import Transport

# Guards: the import of the modules below, against a fork. Re-entrant, since the import
# of a module may itself fork.
_importing = threading.RLock()
#: Seconds a fork waits for an import at most; an import that takes longer is stuck
#: behind the thread that forks.
_FORK_WAITS = 10.0
_fork_holds: list[bool] = []


@contextmanager
def _whole() -> Iterator[None]:
    """An import that forks wait for, and that leaves no halves behind if it fails.

    For want of a file descriptor, say. Python takes the module that failed out again, but
    not its parts; with those about, a second try would make a package without them.
    """
    with _importing:
        before = set(sys.modules)
        try:
            yield
        except BaseException:
            for name in set(sys.modules) - before:
                if name.partition(".")[0] not in sys.modules:
                    sys.modules.pop(name, None)
            raise


def engine_class() -> type[Engine]:
    with _importing:
        from ..delivery.engine import Engine
    return Engine


def sync_module() -> ModuleType:
    with _importing:
        from .. import sync
    return sync


def transport_class() -> type[Transport]:
    with _whole():
        from ..transport.transport import Transport
    return Transport


def backoff_module() -> ModuleType:
    with _whole():
        from ..delivery import retry
    return retry


def additional_executor(threads: int) -> ThreadPoolExecutor:
    """A new executor; RuntimeError where it can't be had (interpreter shutdown)."""
    with _whole():
        from .executor import additional_executor as new_executor
    return new_executor(threads)


def _before_fork() -> None:
    _fork_holds.append(_importing.acquire(timeout=_FORK_WAITS))


def _after_fork() -> None:
    if _fork_holds and _fork_holds.pop():
        _importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
