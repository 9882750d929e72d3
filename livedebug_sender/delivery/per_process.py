"""One engine in each process: a child of a fork makes itself a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..runtime import shutdown

if TYPE_CHECKING:
    from .engine import Engine


class PerProcess:
    """Makes the engines of one owner.

    Args:
        new_engine: makes one for this process.
    """

    def __init__(self, new_engine: Callable[[], Engine]) -> None:
        self._new_engine = new_engine
        #: The engine that was used last; of the parent process, in a new fork.
        self.latest: Engine | None = None
        self.closed = False
        self._by_pid: dict[int, Engine] = {}

    def engine(self) -> Engine:
        """The engine of this process."""
        engine = self.latest
        if engine is not None and engine.owned_by_this_process[0]:
            return engine
        # No lock: a lock made before a fork may be taken for ever after it, and this may
        # be interrupted by itself. `setdefault` keeps the first.
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
        """The owner is gone."""
        engine = self.latest
        if engine is not None and engine.owned_by_this_process[0] and not engine.closed:
            engine.retire()
