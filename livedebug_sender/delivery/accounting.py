"""The accounts: where every payload is, and what became of it.

A payload is in its lane's queue, in hand of the lane's worker, or resolved. What was
enqueued is the sum of the three, so the accounts balance by construction.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ..options import OnDrop
from ..protocol.tracks import Track
from ..runtime.atomic import STEP, AtomicInteger
from ..runtime.log_limiter import LogLimiter
from ..stats import REFUSED

_TRACKS = {track.value: track for track in Track}


class Refusals:
    """Payloads that never got into the queue, by reason; counted without a lock."""

    def __init__(self) -> None:
        self._counts = {reason: AtomicInteger() for reason in REFUSED}

    def count(self, reason: str) -> None:
        self._counts[reason].add(1, STEP)

    def read(self) -> Counter[str]:
        return Counter({reason: n for reason, count in self._counts.items() if (n := count.read())})


class DropReport:
    """Tells the owner of the sender, and the log, of each drop."""

    def __init__(self, on_drop: OnDrop | None, problems: LogLimiter) -> None:
        # It may be written for a `Track`, or for any str: what is no track comes as one.
        self._on_drop: Callable[[Any, str, int], object] | None = on_drop
        self._problems = problems
        # Threads that are inside `on_drop` now: a drop that the callback itself causes
        # is counted and not reported, or a full queue would recurse without end.
        self._inside: set[int] = set()

    def tell(self, track: str, reason: str, count: int, detail: str = "") -> bool:
        """Report a drop; True if it is the first of its kind in the log."""
        words = f"payloads dropped ({track}, {reason})" + (f": {detail}" if detail else "")
        key = track if track in _TRACKS else None  # or odd names would pile up
        first = self._problems.note((key, reason), words, count)
        me = threading.get_ident()
        if self._on_drop is None or me in self._inside:
            return first
        self._inside.add(me)
        try:
            self._on_drop(_TRACKS.get(track, track), reason, count)
        except KeyboardInterrupt:
            raise  # the user's
        except BaseException as error:  # SystemExit too would end a worker, or the host
            self._problems.note("on_drop", f"on_drop raised {type(error).__name__}: {error}")
        finally:
            self._inside.discard(me)
        return first


class LaneBooks:
    """What one lane took from its queue, and what became of it."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._waiting = waiting
        # Guards: the numbers below, and every move between queue, hand and resolved,
        # so that whoever reads them finds each payload in exactly one place. Never
        # taken by `enqueue`; re-entrant, for a finalizer that asks for `stats`.
        self.lock = threading.RLock()
        self.in_hand = 0
        self.in_hand_bytes = 0
        self.delivered = 0
        self.lost: Counter[str] = Counter()
        #: Of those, how many were reported to whom it concerns.
        self.settled = 0
        self.requests = 0
        self.retries = 0
        self.bytes_sent = 0
        self._watchers: list[tuple[int, threading.Lock]] = []

    def __enter__(self) -> LaneBooks:
        self.lock.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lock.release()

    @property
    def resolved(self) -> int:
        return self.delivered + self.lost.total()

    def enqueued(self) -> int:
        """How many payloads ever were put into the lane."""
        with self.lock:
            return self.resolved + self.in_hand + self._waiting()

    def pending(self) -> int:
        with self.lock:
            return self.in_hand + self._waiting()

    def take(self, count: int, size: int) -> None:
        """`count` payloads of `size` bytes went from the queue into hand."""
        with self.lock:
            self.in_hand += count
            self.in_hand_bytes += size

    def resolve(self, count: int, size: int, lost_as: str | None) -> None:
        """`count` payloads in hand were delivered, or lost for that reason."""
        with self.lock:
            self.in_hand -= count
            self.in_hand_bytes -= size
            if lost_as is None:
                self.delivered += count
            else:
                self.lost[lost_as] += count

    def settle(self, count: int) -> None:
        """`count` resolved payloads were reported too: nobody need wait for them."""
        with self.lock:
            self.settled += count
            settled = self.settled
            reached = [watcher for watcher in self._watchers if watcher[0] <= settled]
            self._watchers = [watcher for watcher in self._watchers if watcher[0] > settled]
        for _, bell in reached:
            bell.release()

    def watch(self, mark: int) -> threading.Lock:
        """A lock that becomes free once the first `mark` payloads are settled."""
        bell = threading.Lock()
        with self.lock:
            if self.settled < mark:
                bell.acquire()
                self._watchers.append((mark, bell))
        return bell

    def unwatch(self, bell: threading.Lock) -> None:
        with self.lock:
            self._watchers = [watcher for watcher in self._watchers if watcher[1] is not bell]
