"""Imports late, by name, without side effects on the host.

The parts of a sender are imported when one is created, not with the package. Importing
`requests` takes a tenth of a second, which must not delay the host's own request, and
`ssl` must not be imported before a host could patch it (gevent). So the worker thread
imports them when it first needs them. What can go wrong:

- A fork during the import would leave the child with partially initialized modules. So a fork
  waits; if that takes too long, the child removes the modules and imports them again.
- An import may fail, for lack of a file descriptor, and be tried again.
- The host may remove or replace modules in the meantime: see `own_modules`.
"""

from __future__ import annotations

import atexit
import importlib

# Before-fork hooks run in reverse order of their registration. The one of `logging`, which
# takes a lock that imports need (`getLogger`), must run after ours, so it is registered first.
import logging  # noqa: F401
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .own_modules import ImportOnOurThread, own_package_in_place

#: The name under which the lock is stored. All copies of this package that a host may have
#: imported share it, since each puts itself into `sys.modules` for its imports.
_LOCK = "_livedebug_sender_importing"
#: Maximum seconds that a fork waits for an import; one that takes longer may be waiting
#: for the thread that forks.
FORK_WAITS = 3.0
#: For each fork in progress, the lock; None if it could not be acquired.
_fork_holds: list[Any] = []
#: The imports in progress on threads other than the main one.
_under_way: list[ImportOnOurThread] = []
#: What `load` has returned, by module and name.
_loaded: dict[tuple[str, str], Any] = {}


def load(module: str, name: str) -> Any:
    """An attribute of a module, which is imported if necessary.

    Args:
        module: its full name.

    Raises:
        ImportError: or any other exception from importing it; it may be tried again.
    """
    if (module, name) not in _loaded:
        _loaded[module, name] = _import(module, name)
    return _loaded[module, name]


def _importing() -> Any:
    """The lock that protects an import of ours from forks and from our other imports.

    Re-entrant, since the import of a module may itself import, or fork.
    """
    return vars(sys).setdefault(_LOCK, threading.RLock())


def _import(module: str, name: str) -> Any:
    # Including the attribute: getting it may be another import (of a package that is itself lazy),
    # and if an import fails, CPython gives a second waiting thread a partial module.
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
    """Leave no submodules behind if an import fails.

    Python removes the module that failed, but not its submodules; with those still there, a
    second attempt would create a package without them.
    """
    before = set(sys.modules)
    try:
        yield
    except BaseException:
        _remove_parts(set(sys.modules) - before)
        raise


def _remove_parts(names: set[str]) -> None:
    """Remove those modules whose package is missing."""
    for name in names:
        if name.partition(".")[0] not in sys.modules:
            sys.modules.pop(name, None)


def _let_the_host_start_over() -> None:
    """Give a host that has just removed `threading` a second to import its own again.

    Modules imported here after that are shared with the host, and must work for it: with a
    `threading` that gevent does not patch, for example, a `queue.Queue` would block the host.
    """
    for _ in range(20):
        if "threading" in sys.modules:
            return
        time.sleep(0.05)


# At exit, after all hooks that were registered later; see `own_modules`.
atexit.register(_loaded.clear)

# ---- forks ----


def _before_fork() -> None:
    lock = _importing()
    _fork_holds.append(lock if lock.acquire(timeout=FORK_WAITS) else None)


def _after_fork_in_parent() -> None:
    # Empty if the fork began before the hooks were registered.
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
    """In a child forked during an import, whose thread does not exist in the child."""
    vars(sys)[_LOCK] = threading.RLock()
    names = set()
    while _under_way:
        ours = _under_way.pop()
        sys.meta_path.remove(ours)  # a thread of the child may get the same thread id
        names.update(ours.names())
    for name in sorted(names):  # a package before its submodules
        spec = getattr(sys.modules.get(name), "__spec__", None)
        parent = name.rpartition(".")[0]
        orphaned = parent in names and parent not in sys.modules
        if orphaned or getattr(spec, "_initializing", True):
            sys.modules.pop(name, None)
    # Each is held by the thread that no longer exists. These locks have no public name.
    locks = vars(sys.modules["_frozen_importlib"]).get("_module_locks", {})
    for name in names:
        locks.pop(name, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
