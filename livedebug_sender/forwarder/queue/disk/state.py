"""What the parts of one open disk queue share."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ....runtime.log_limiter import LogLimiter
from ..age import AgeClock
from ..request_queue import FLOODING_SHARE, RETRY_AFTER, QueueFull, QueueOptions
from ..stored_request import StoredRequest
from ..wakeups import Wakeups
from .folders import QueueFolder
from .segment import Segment, TableSummary
from .waiting import RouteLine, Waiting

#: Requests just put that are kept in memory as well, in bytes.
MAX_RECENT_BYTES = 32 * 1024 * 1024


@dataclass
class Counts:
    commits: int = 0
    commit_seconds: float = 0.0
    redelivered: int = 0
    expired: int = 0
    set_aside: int = 0
    errors: int = 0
    dead: Counter[str] = field(default_factory=Counter)


class DiskState:
    def __init__(
        self,
        options: QueueOptions,
        folder: QueueFolder,
        clock: Callable[[], float] = time.monotonic,
        ages: AgeClock | None = None,
    ) -> None:
        self.options = options
        self.folder = folder
        self.clock = clock
        self.ages = ages or AgeClock()
        self.problems = LogLimiter()
        # Guards: everything below. Held for moments only, never during I/O but a `stat`.
        self.lock = threading.Lock()
        #: There is something for the housekeeper.
        self.chores = threading.Condition(self.lock)
        self.waiting = Waiting(min(MAX_RECENT_BYTES, options.max_bytes))
        #: Of the threads that take, by route.
        self.wakeups = {
            route: Wakeups(self.lock, RouteLine(self.waiting, route, clock))
            for route in options.routes
        }
        self.files: dict[int, Segment] = {}
        #: Which segments' requests a segment's `settled` speaks of, by its number.
        self.refers: dict[int, set[int]] = {}
        #: The number of the segment that is written to.
        self.active: int | None = None
        #: Is there something wrong with it?
        self.active_is_damaged = False
        #: Segments that are complete, and still to be sealed.
        self.to_seal: list[int] = []
        self.counts = Counts()
        self.bytes = 0
        self.free = folder.free()
        self.closed = False

    def add_file(
        self, segment: Segment, tables: list[TableSummary], *, older: bool = False
    ) -> None:
        """A segment that was opened. The lock is held."""
        self.files[segment.number] = segment
        self.refers.setdefault(segment.number, set())
        self.waiting.add_segment(segment.number, tables, older=older)

    def measure(self) -> None:
        """How much the files have, and the disk has left."""
        with self.lock:
            files = list(self.files.values())
        sizes = sum(segment.size() for segment in files)
        free = self.folder.free()
        with self.lock:
            self.bytes, self.free = sizes, free

    def check_room(self, request: StoredRequest, size: int, pending: int) -> None:
        """QueueFull, if a bound leaves no room for it besides what is pending."""
        share = FLOODING_SHARE if request.route in self.options.flooding else 1.0
        if self.bytes + pending + size > self.options.max_bytes * share:
            raise QueueFull("the queue is full", RETRY_AFTER)
        if self.free - pending - size < self.options.min_free:
            raise QueueFull("the disk is nearly full", RETRY_AFTER)

    def fullness(self) -> float:
        """Of the bytes, or of the disk as far as it may be filled."""
        by_bytes = self.bytes / self.options.max_bytes
        usable = self.bytes + max(0, self.free - self.options.min_free)
        return min(1.0, max(by_bytes, self.bytes / usable if usable else 1.0))

    def notice(self, key: str, words: str) -> None:
        """An error, counted and logged."""
        self.counts.errors += 1
        self.problems.note(key, f"the queue in {self.folder.path}: {words}")
        self.problems.report()
