"""Which of the threads that take a route's requests are woken, and when."""

from __future__ import annotations

import math
import threading
from time import monotonic
from typing import Any, Protocol

#: Seconds between two looks of the thread that watches.
PAUSE = 0.005


class Line(Protocol):
    """What can be taken, as positions that grow in the order of arrival."""

    def first(self) -> Any:
        """Of what is taken next; None if there is nothing to take now."""

    def last(self) -> Any:
        """Of what arrived last, taken or not."""


class Wakeups:
    """Wakes only as many threads as are needed to keep up.

    Waking a thread for each request costs about as much as delivering it, because the thread
    then competes for the interpreter lock. So while one thread works another one watches: it
    looks every `PAUSE` seconds, and takes a request only if one waited for a whole pause.
    Meanwhile `put` wakes nobody. Once nothing is left all threads sleep, and the next `put` wakes
    one of them at once.

    Args:
        lock: the queue's, held during each call.
        line: the requests of the route.
    """

    def __init__(self, lock: threading.Lock, line: Line) -> None:
        self._line = line
        self._condition = threading.Condition(lock)
        #: Does a thread watch?
        self._watched = False
        #: Is the next thread that is woken to watch?
        self._watch = False

    def put(self) -> None:
        """A request can be taken."""
        if not self._watched:
            self.look()

    def taken(self) -> None:
        """A thread leaves with a request, maybe for long: have another one watch."""
        if not self._watched:
            self._watch = True
            self._condition.notify()

    def look(self) -> None:
        """Have a thread look for a request at once."""
        self._watch = False
        self._condition.notify()

    def look_all(self) -> None:
        """Have all threads look, at most one after the end of its pause."""
        self._watch = False
        self._condition.notify_all()

    def wait(self, seconds: float | None) -> None:
        """Wait until it is time to look for a request; None: until woken."""
        end = math.inf if seconds is None else monotonic() + seconds
        self._condition.wait(seconds)
        while self._watch and not self._watched:
            self._watch, self._watched = False, True
            last = self._line.last()
            try:
                self._condition.wait(PAUSE)
            finally:
                self._watched = False
            first = self._line.first()
            if first is None or first <= last or monotonic() >= end:
                return
            self._watch = True  # all that waits is new: the others keep up
