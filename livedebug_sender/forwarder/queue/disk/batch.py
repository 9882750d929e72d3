"""What one commit writes, and the threads that wait for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ..request_queue import PutRefused, QueueUnavailable
from ..stored_request import StoredRequest
from .settled import Settled
from .state import RETRY_AFTER
from .waiting import Place


@dataclass
class Addition:
    """A request to append; `moved_from`: where it is stored so far."""

    request: StoredRequest
    size: int
    envelope: bytes
    moved_from: Place | None = None


@dataclass
class Batch:
    """What goes into one transaction. The state's lock is held while it changes."""

    additions: list[Addition] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    bytes: int = 0
    #: One for each thread that waits, locked until the commit is done. Not one event for all,
    #: whose waiters would then compete for its lock.
    waiters: list[threading.Lock] = field(default_factory=list)
    failure: tuple[type[PutRefused], str] | None = None

    def waiter(self) -> threading.Lock:
        lock = threading.Lock()
        lock.acquire()
        self.waiters.append(lock)
        return lock

    def done(self) -> None:
        for lock in self.waiters:
            lock.release()

    def wait(self, waiter: threading.Lock, timeout: float) -> None:
        """Until it is committed; PutRefused if it is not, or not in `timeout` seconds."""
        if not waiter.acquire(timeout=timeout):
            raise QueueUnavailable("the disk did not answer in time", RETRY_AFTER)
        if self.failure:
            kind, words = self.failure
            raise kind(words, RETRY_AFTER)
