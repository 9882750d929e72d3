"""Requests that were read and wait to be taken, by route."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable

from .partition import Entry


class _Route:
    def __init__(self, lock: threading.Lock) -> None:
        self.ready: deque[Entry] = deque()
        #: A heap of (when it may be taken, tie-breaker, entry).
        self.later: list[tuple[float, int, Entry]] = []
        self.news = threading.Condition(lock)


class ReadyRequests:
    """All methods are called with `lock` held."""

    def __init__(self, routes: Iterable[str], lock: threading.Lock) -> None:
        self._lock = lock
        self._turns = itertools.count()
        self._routes = {route: _Route(lock) for route in routes}

    def __contains__(self, route: str) -> bool:
        return route in self._routes

    def add(self, entry: Entry) -> None:
        route = self._routes[entry.route]
        route.ready.append(entry)
        route.news.notify()

    def add_later(self, entry: Entry, delay: float) -> None:
        route = self._routes[entry.route]
        heapq.heappush(route.later, (time.monotonic() + delay, next(self._turns), entry))
        route.news.notify()

    def next(self, name: str) -> Entry | None:
        """One that may be taken now; released ones come first, after their delay."""
        route = self._routes[name]
        if route.later and route.later[0][0] <= time.monotonic():
            return heapq.heappop(route.later)[2]
        return route.ready.popleft() if route.ready else None

    def wait(self, name: str, timeout: float | None) -> None:
        """Wait until there may be one, at most `timeout` seconds; releases `lock` while waiting."""
        route = self._routes[name]
        if route.later:
            due = max(0.0, route.later[0][0] - time.monotonic())
            timeout = due if timeout is None else min(due, timeout)
        route.news.wait(timeout)

    def wake_all(self) -> None:
        for route in self._routes.values():
            route.news.notify_all()

    def drop_revoked(self) -> None:
        """Drop the entries that now belong to another forwarder."""
        for route in self._routes.values():
            route.ready = deque(one for one in route.ready if not one.partition.revoked)
            route.later = [one for one in route.later if not one[2].partition.revoked]
            heapq.heapify(route.later)
