"""A queue in memory: fast, bounded, and lost when the process ends."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from .age import AgeClock
from .request_queue import (
    FLOODING_SHARE,
    RETRY_AFTER,
    PutCallback,
    PutRefused,
    QueueFull,
    QueueOptions,
    QueueStats,
    Taken,
    shutting_down,
)
from .stored_request import StoredRequest
from .wakeups import Wakeups


@dataclass(eq=False)
class _Kept:
    request: StoredRequest
    size: int
    number: int
    redeliveries: int = 0


class _Route:
    """The waiting requests of one route."""

    def __init__(self, lock: threading.Lock, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0
        self.ready: deque[_Kept] = deque()
        #: A heap of (when it may be taken, tie-breaker, request).
        self.later: list[tuple[float, int, _Kept]] = []
        self.wakeups = Wakeups(lock, self)

    def append(self, request: StoredRequest, size: int) -> None:
        self._last += 1
        self.ready.append(_Kept(request, size, self._last))

    def first(self) -> int | None:
        self.promote()
        return self.ready[0].number if self.ready else None

    def last(self) -> int:
        return self._last

    def promote(self) -> None:
        """Let what was released come first, once its time has come."""
        while self.later and self.later[0][0] <= self._clock():
            self.ready.appendleft(heapq.heappop(self.later)[2])


class MemoryQueue:
    """A `RequestQueue` in memory.

    Args:
        clock: seconds, monotonic.
        ages: None: by this machine's clocks.
    """

    durable = False

    def __init__(
        self,
        options: QueueOptions,
        clock: Callable[[], float] = time.monotonic,
        ages: AgeClock | None = None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._ages = ages or AgeClock()
        self._turns = itertools.count()
        # Protects everything below. Held only briefly.
        self._lock = threading.Lock()
        self._routes = {route: _Route(self._lock, clock) for route in options.routes}
        self._taken: set[_Kept] = set()
        self._items = 0
        self._bytes = 0
        self._redelivered = 0
        self._expired = 0
        self._dead: Counter[str] = Counter()
        self._closed = False

    def put(self, request: StoredRequest) -> None:
        if request.route not in self._routes:
            raise ValueError(f"the route is {request.route!r:.80}; this queue keeps no such")
        size = request.size
        with self._lock:
            if self._closed:
                raise shutting_down()
            share = FLOODING_SHARE if request.route in self._options.flooding else 1.0
            max_items = self._options.max_items
            too_many = max_items is not None and self._items + 1 > max(1, int(max_items * share))
            if too_many or self._bytes + size > self._options.max_bytes * share:
                raise QueueFull("the queue is full", RETRY_AFTER)
            self._items += 1
            self._bytes += size
            route = self._routes[request.route]
            route.append(request, size)
            route.wakeups.put()

    def put_async(self, request: StoredRequest, callback: PutCallback) -> None:
        try:
            self.put(request)
        except PutRefused as refused:
            callback(refused)
        else:
            callback(None)

    def take(self, route: str, timeout: float | None = None) -> Taken | None:
        until = None if timeout is None else self._clock() + timeout
        kept_for = self._routes[route]
        with self._lock:
            while not self._closed:
                kept_for.promote()
                kept = self._next(kept_for)
                if kept is not None:
                    self._taken.add(kept)
                    self._redelivered += kept.redeliveries > 0
                    if kept_for.later:  # other waiting threads must learn until when
                        kept_for.wakeups.look()
                    else:
                        kept_for.wakeups.taken()
                    return Taken(kept.request, kept, kept.redeliveries)
                waits = [until] if until is not None else []
                waits += [kept_for.later[0][0]] if kept_for.later else []
                left = min(waits) - self._clock() if waits else None
                if until is not None and until <= self._clock():
                    return None
                kept_for.wakeups.wait(left)
        return None

    def acknowledge(self, taken: Taken) -> None:
        with self._lock:
            self._settle(taken)

    def release(self, taken: Taken, delay: float = 0.0) -> None:
        kept = taken.handle
        assert isinstance(kept, _Kept)
        with self._lock:
            if kept not in self._taken:
                return
            self._taken.remove(kept)
            kept.redeliveries += 1
            route = self._routes[kept.request.route]
            heapq.heappush(route.later, (self._clock() + delay, next(self._turns), kept))
            route.wakeups.look()

    def bury(self, taken: Taken, reason: str) -> None:
        """Count it, but do not keep it: a queue in memory has no dead letters."""
        with self._lock:
            if self._settle(taken):
                self._dead[reason] += 1

    def is_too_old(self, taken: Taken) -> bool:
        return self._ages.is_older(taken.request.received_at, self._options.max_age)

    def stats(self) -> QueueStats:
        options = self._options
        with self._lock:
            oldest = min(
                (
                    kept.request.received_at
                    for route in self._routes.values()
                    for kept in (
                        *itertools.islice(route.ready, 1),
                        *(one[2] for one in route.later),
                    )
                ),
                default=None,
            )
            taken = min((kept.request.received_at for kept in self._taken), default=None)
            ages = [self._ages.age(at) for at in (oldest, taken) if at is not None]
            shares = [self._bytes / options.max_bytes]
            shares += [self._items / options.max_items] if options.max_items else []
            return QueueStats(
                items=self._items,
                bytes=self._bytes,
                limit=options.max_bytes,
                fullness=max(shares),
                oldest_age=max(0.0, *ages) if ages else None,
                redelivered=self._redelivered,
                expired=self._expired,
                dead=MappingProxyType(dict(self._dead)),
            )

    def close(self, timeout: float) -> int:
        with self._lock:
            self._closed = True
            for route in self._routes.values():
                route.wakeups.look_all()
            return self._items

    def _next(self, route: _Route) -> _Kept | None:
        """The next request that is not too old."""
        while route.ready:
            kept = route.ready.popleft()
            if not self._ages.is_older(kept.request.received_at, self._options.max_age):
                return kept
            self._expired += 1
            self._forget(kept)
        return None

    def _settle(self, taken: Taken) -> bool:
        kept = taken.handle
        assert isinstance(kept, _Kept)
        if kept not in self._taken:
            return False
        self._taken.remove(kept)
        self._forget(kept)
        return True

    def _forget(self, kept: _Kept) -> None:
        self._items -= 1
        self._bytes -= kept.size
