"""Saying what goes wrong, once, and never from inside the host's request.

`note` only remembers: it takes no lock and may be called from `enqueue`, in a signal
handler or while the host holds the lock of its own log handler. `report` writes the
lines, on a worker thread or in `flush` and `close`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger("livedebug_sender")

#: Seconds for which a problem that was logged is only counted.
QUIET_FOR = 300.0


class _Problem:
    __slots__ = ("count", "level", "logged_at", "logged_count", "message")

    def __init__(self, level: int, message: str) -> None:
        self.level = level
        self.message = message
        self.count = 0
        self.logged_count = 0
        self.logged_at = float("-inf")


class LogLimiter:
    """The problems of one sender in one process, by key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._problems: dict[object, _Problem] = {}

    def note(self, key: object, message: str, count: int = 1, level: int = logging.WARNING) -> bool:
        """Remember a problem; True if it is the first of its kind.

        The count is for people: two threads at once may lose one of it.
        """
        fresh = _Problem(level, message)
        problem = self._problems.setdefault(key, fresh)
        problem.count += count
        return problem is fresh

    def report(self, *, final: bool = False) -> None:
        """Log what is new: a line for a new problem, later a line with its count.

        With `final`, also the counts that were being kept back.
        """
        now = self._clock()
        for problem in list(self._problems.values()):
            unsaid = problem.count - problem.logged_count
            first = problem.logged_count == 0
            if unsaid and (first or final or now - problem.logged_at >= QUIET_FOR):
                problem.logged_at = now
                problem.logged_count = problem.count
                times = "" if unsaid == 1 else f" ({unsaid} times)"
                logger.log(problem.level, "%s%s", problem.message, times)
