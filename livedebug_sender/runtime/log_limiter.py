"""Rate-limits the log: a repeated problem is one line, then a count once a minute.

`LogLimiter.note` only records: it takes no lock, writes nothing, and may be called from
`enqueue`, in a signal handler, or while the host holds the lock of its own log handler.
`LogLimiter.due` returns the lines to be written now; `report` writes them, holding no
lock. There is at most one line a minute for each kind of problem, of `MAX_LENGTH`
characters, and there are at most `MAX_KINDS` kinds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from .atomic import STEP, AtomicInteger
from .clock import monotonic
from .host_signals import raised_by_signal_handler
from .signal_safe_lock import SignalSafeLock

logger = logging.getLogger("livedebug_sender")

#: Seconds after a line during which further problems of its kind are only counted.
QUIET_FOR = 60.0
MAX_LENGTH = 500
MAX_KINDS = 100


class Line(NamedTuple):
    level: int
    text: str


class _Kind:
    __slots__ = ("count", "level", "logged", "logged_at", "message")

    def __init__(self, level: int, message: str) -> None:
        self.level = level
        #: The last message: its details are the latest.
        self.message = message
        self.count = AtomicInteger()
        #: How many of them were logged.
        self.logged = 0
        self.logged_at = float("-inf")

    def due_at(self) -> float:
        return self.logged_at + QUIET_FOR


class LogLimiter:
    """The problems of one sender in one process, by kind."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._kinds: dict[object, _Kind] = {}
        # Protects the number logged of each kind, so that no two threads log the same. It is not
        # taken by `note`, nor held while a line is written; re-entrant, for finalizers.
        self._lock = SignalSafeLock()

    def note(
        self, kind: object, message: str, count: int = 1, level: int = logging.WARNING
    ) -> bool:
        """Record that something happened `count` times.

        Args:
            kind: identifies the problem; problems of the same kind share a line.

        Returns:
            Whether it is the first of its kind.
        """
        known = self._kinds.get(kind)
        if known is None and len(self._kinds) >= MAX_KINDS:
            kind, message = MAX_KINDS, "too many kinds of problems to log each of them"
            known = self._kinds.get(kind)
        first = known is None
        if known is None:
            known = self._kinds.setdefault(kind, _Kind(level, message))
        known.message = message
        known.count.add(count, STEP)
        return first

    def watching(
        self, longest: float, on_slow: Callable[[float], None]
    ) -> AbstractContextManager[None]:
        """While a request takes long, call `on_slow` with the seconds that it has taken so far.

        Args:
            longest: maximum seconds of the request; short ones are not watched.
        """
        return nullcontext()  # only a `LogReporter` has a thread for this

    def settle(self, kind: object) -> None:
        """Do not log what was noted so far: another line reports the outcome."""
        known = self._kinds.get(kind)
        if known is not None:
            with self._lock:
                known.logged = known.count.read()

    def due(self, *, final: bool = False) -> list[Line]:
        """The lines to be written now; each is returned once.

        With `final`, also counts whose minute is not over yet.
        """
        now = self._clock()
        lines = []
        with self._lock:
            for kind in list(self._kinds.values()):
                count = kind.count.read() - kind.logged
                if count <= 0 or not (final or now >= kind.due_at()):
                    continue
                seconds = now - kind.logged_at
                # Also in a second line soon after the first, which would otherwise look the same.
                since = f" in {max(1, seconds):.0f} s" if seconds < float("inf") else ""
                kind.logged += count
                kind.logged_at = now
                unit = "time" if count == 1 else "times"
                times = f" ({count} {unit}{since})" if count > 1 or since else ""
                lines.append(Line(kind.level, kind.message[: MAX_LENGTH - len(times)] + times))
        return lines

    def next_due(self) -> float | None:
        """When the next line is due, in seconds of the clock; None if there is none."""
        with self._lock:
            return min(
                (k.due_at() for k in list(self._kinds.values()) if k.count.read() > k.logged),
                default=None,
            )

    def _due_at(self, kind: object) -> float:
        """When the next line of a kind may be written."""
        known = self._kinds.get(kind) or self._kinds.get(MAX_KINDS)
        return float("-inf") if known is None else known.due_at()

    def report(self, *, final: bool = False) -> None:
        """Write the lines that are due."""
        for line in self.due(final=final):
            _write(line.level, "%s", line.text)

    def debug(self, message: str, *arguments: object) -> None:
        """Write a line at once, if the host logs at ``DEBUG``; not from `enqueue`."""
        if logger.isEnabledFor(logging.DEBUG):
            _write(logging.DEBUG, message, *arguments)


def _write(level: int, message: str, *arguments: object) -> None:
    """Write a line; exceptions of the host's log filters are suppressed."""
    try:
        logger.log(level, message, *arguments)
    except KeyboardInterrupt:
        raise  # Ctrl-C by the user
    except BaseException as error:  # from a filter; `logging` prints those from handlers
        if raised_by_signal_handler(error):
            raise
