"""Importing late, by name, without side effects on the host.

The parts of a sender are imported when one is made, not with the package. Importing
`requests` takes a tenth of a second, which must not be a part of the host's own request,
and `ssl` must not be loaded before a host could patch it (gevent). So the worker thread
imports them when it first needs them. What could go wrong there:

- A fork in the middle of it would leave the child with half-loaded modules. So a fork
  waits, and where that takes too long, the child forgets them and starts anew.
- An import may fail, for want of a file descriptor, and be tried again.
- The host may drop or swap modules meanwhile: see `own_modules`.
"""

from __future__ import annotations

import atexit
import importlib

# Fork hooks run in the reverse order of their registration. That of `logging`, which
# takes a lock that imports need (`getLogger`), must come after ours, so be there before.
import logging  # noqa: F401
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .own_modules import ImportOnOurThread, own_package_in_place

#: Where the lock below is kept: once for all copies of this package that a host may have
#: loaded, since each puts itself into `sys.modules` for its imports.
_LOCK = "_livedebug_sender_importing"
#: Seconds a fork waits for an import at most; one that takes longer may be stuck behind
#: the thread that forks.
_FORK_WAITS = 3.0
#: For each fork that is under way, the lock; None where it waited in vain.
_fork_holds: list[Any] = []
#: The imports that are under way on other threads than the main one.
_under_way: list[ImportOnOurThread] = []
#: What `load` has returned, by module and name.
_loaded: dict[tuple[str, str], Any] = {}


def load(module: str, name: str) -> Any:
    """An attribute of a module, which is imported if need be.

    Args:
        module: its full name.

    Raises:
        ImportError: and whatever else comes of importing it; it may be tried again.
    """
    if (module, name) not in _loaded:
        _loaded[module, name] = _import(module, name)
    return _loaded[module, name]


def _importing() -> Any:
    """Guards: an import of ours, against a fork and other imports of ours.

    Re-entrant, since the import of a module may itself import, or fork.
    """
    return vars(sys).setdefault(_LOCK, threading.RLock())


def _import(module: str, name: str) -> Any:
    # The attribute too: to get it may be another import (of a package that is itself lazy),
    # and of two threads in one that fails, CPython leaves the second half a module.
    if threading.get_ident() == threading.main_thread().ident:
        with _importing(), own_package_in_place(), _whole():
            return getattr(importlib.import_module(module), name)
    _let_the_host_start_over()
    with _importing(), own_package_in_place(), _whole(), ImportOnOurThread() as ours:
        _under_way.append(ours)
        try:
            return getattr(importlib.import_module(module), name)
        finally:
            _under_way.remove(ours)


@contextmanager
def _whole() -> Iterator[None]:
    """An import that leaves no halves behind if it fails.

    Python takes the module that failed out again, but not its parts; with those about, a
    second try would make a package without them.
    """
    before = set(sys.modules)
    try:
        yield
    except BaseException:
        _remove_parts(set(sys.modules) - before)
        raise


def _remove_parts(names: set[str]) -> None:
    """Remove those modules whose package is not there."""
    for name in names:
        if name.partition(".")[0] not in sys.modules:
            sys.modules.pop(name, None)


def _let_the_host_start_over() -> None:
    """Give a host that has just dropped `threading` a second to import its own again.

    What is loaded here after that is shared with the host, and has to suit it: with a
    `threading` that gevent will not patch, say, a `queue.Queue` would block all of it.
    """
    for _ in range(20):
        if "threading" in sys.modules:
            return
        time.sleep(0.05)


# At the exit, after all that was registered later; see `own_modules`.
atexit.register(_loaded.clear)

# ---- forks ----


def _before_fork() -> None:
    lock = _importing()
    _fork_holds.append(lock if lock.acquire(timeout=_FORK_WAITS) else None)


def _after_fork_in_parent() -> None:
    # Empty: the fork began before the hooks were there.
    if _fork_holds and (held := _fork_holds.pop()) is not None:
        held.release()


def _after_fork_in_child() -> None:
    if not _fork_holds:
        return
    if (held := _fork_holds.pop()) is not None:
        held.release()
    else:
        _start_anew()


def _start_anew() -> None:
    """In a child of a fork that came in the middle of an import, whose thread is gone."""
    vars(sys)[_LOCK] = threading.RLock()
    names = set()
    while _under_way:
        ours = _under_way.pop()
        sys.meta_path.remove(ours)  # a thread of the child may get the number of its thread
        names.update(ours.names())
    for name in sorted(names):  # a package before its parts
        spec = getattr(sys.modules.get(name), "__spec__", None)
        parent = name.rpartition(".")[0]
        orphaned = parent in names and parent not in sys.modules
        if orphaned or getattr(spec, "_initializing", True):
            sys.modules.pop(name, None)
    # Each is locked by the thread that is gone. There is no public name for these locks.
    locks = vars(sys.modules["_frozen_importlib"]).get("_module_locks", {})
    for name in names:
        locks.pop(name, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
