"""One engine in each process: a forked child creates a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..runtime import shutdown

if TYPE_CHECKING:
    from .engine import Engine


class PerProcess:
    """Creates the engines of one owner.

    Args:
        new_engine: creates one for this process.
    """

    def __init__(self, new_engine: Callable[[], Engine]) -> None:
        self._new_engine = new_engine
        #: The engine that was used last; in a new fork, that of the parent process.
        self.latest: Engine | None = None
        self.closed = False
        self._by_pid: dict[int, Engine] = {}

    def engine(self) -> Engine:
        """The engine of this process."""
        engine = self.latest
        if engine is not None and engine.owned_by_this_process[0]:
            return engine
        # No lock: one created before a fork may be held for ever after it, and a signal handler
        # may call this while it runs. `setdefault` keeps the first.
        pid = os.getpid()
        engine = self._by_pid.setdefault(pid, self._new_engine())
        if not engine.owned_by_this_process[0]:  # an ancestor had the same process id
            engine = self._by_pid[pid] = self._new_engine()
        engine.closed = engine.closed or self.closed
        shutdown.register(engine)
        self.latest = engine
        for other in [key for key in list(self._by_pid) if key != pid]:
            self._by_pid.pop(other, None)
        return engine

    def retire(self) -> None:
        """The owner was garbage-collected."""
        engine = self.latest
        if engine is not None and engine.owned_by_this_process[0] and not engine.closed:
            engine.retire()
