"""The end of the process: every sender that was forgotten closes itself."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..delivery.engine import Engine

# The engines that may hold payloads, by identity. Only single dict operations, which
# nothing can interrupt.
_live: dict[int, Engine] = {}


def register(engine: Engine) -> None:
    _live[id(engine)] = engine
    # A child of multiprocessing ends by os._exit, without atexit; it has this instead.
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util and process and process.parent_process() is not None:
        util.Finalize(engine, close_all, exitpriority=100)


def unregister(engine: Engine) -> None:
    _live.pop(id(engine), None)


def close_all() -> None:
    """Close what is still open, all at once, so that the longest timeout is the whole."""
    engines = [engine for engine in list(_live.values()) if engine.mark[0]]
    deadlines = [engine.begin_close() for engine in engines]
    for engine, deadline in zip(engines, deadlines, strict=True):
        engine.finish_close(deadline)


# At import, hence before the host's own handlers, which run in the reverse order: what
# they enqueue is still taken.
atexit.register(close_all)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_live.clear)
