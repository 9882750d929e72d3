"""Keeps our modules, even if the host removes them from `sys.modules`.

ddtrace removes nearly all modules when it starts, eventlet replaces some, tests reload them.
A later import would create a second copy of this package. Or, worse, it would be the first
import of a new `threading`, which considers the thread that imports it the main thread: if
that is ours, the interpreter waits for it at exit, for ever.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

_PACKAGE = __name__.partition(".")[0]

#: Modules that depend on the thread or process that imports them, by their top-level name.
_THREAD_BOUND = {"_thread", "threading", "concurrent", "logging", "signal", "asyncio"}

# Both by name.
_thread_bound: dict[str, ModuleType] = {}
_own: dict[str, ModuleType] = {_PACKAGE: sys.modules[_PACKAGE]}


def _top(name: str) -> str:
    return name.partition(".")[0]


def _is_in_place() -> bool:
    return sys.modules.get(_PACKAGE) is _own.get(_PACKAGE)


def remember() -> None:
    """Keep those loaded modules that must not be replaced."""
    loaded = sys.modules.copy()
    ours = _is_in_place()
    for name, module in loaded.items():
        if _top(name) in _THREAD_BOUND:
            _thread_bound.setdefault(name, module)
        elif ours and _top(name) == _PACKAGE:
            _own[name] = module


remember()
# At exit, after all hooks that were registered later: a reference to a module would prevent
# its regular finalization.
atexit.register(_thread_bound.clear)
atexit.register(_own.clear)


@contextmanager
def own_package_in_place() -> Iterator[None]:
    """Have this copy of the package in `sys.modules`, not a second one that the host imported."""
    remember()
    if _is_in_place() or not _own:  # empty at the very end of the exit
        yield
        remember()
        return
    theirs = _take_package_out()
    sys.modules.update(_own)
    try:
        yield
    finally:
        remember()
        _take_package_out()
        sys.modules.update(theirs)


def _take_package_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules.copy() if _top(name) == _PACKAGE]
    return {name: sys.modules.pop(name) for name in names}


# Not a subclass of `importlib.abc` classes, which would import 30 more modules: a quarter of the
# time of our import.
class ImportOnOurThread:
    """For a ``with`` block: keeps the current thread from importing a module a second time.

    A thread-bound module that was removed is put back, and so is one that this very import
    loaded and that was removed before the import was complete.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._asked_for: list[str] = []
        self._loaded: dict[str, ModuleType] = {}
        self._spec: ModuleSpec | None = None

    def names(self) -> list[str]:
        """The modules that this thread has loaded, or started to load."""
        return [*self._loaded, *self._asked_for]

    def __enter__(self) -> ImportOnOurThread:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)

    # ---- called by the import system ----

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if threading.get_ident() != self._thread:
            return None
        waiting, self._asked_for = self._asked_for, [name]
        for before in waiting:
            if (module := sys.modules.get(before)) is not None:
                self._loaded[before] = module
            else:
                self._asked_for.append(before)
        return ModuleSpec(name, cast("Loader", self)) if self._of_before(name) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module = self._of_before(spec.name)
        self._spec = None if module is None else module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # it was executed when first imported

    def _of_before(self, name: str) -> ModuleType | None:
        return self._loaded.get(name) or _thread_bound.get(name)
