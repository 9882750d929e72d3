"""Finds payloads in a store, and caches the results."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import NamedTuple

from .filtering import Filter
from .records import RecordedRequest
from .store import Store

#: Maximum number of filters with cached results: those of a page and its background requests.
_MAX_FILTERS = 8


class Place(NamedTuple):
    """The id of a payload: the request's number, and its place in it from 0."""

    number: int
    place: int

    def __str__(self) -> str:
        return f"{self.number}.{self.place}"

    @classmethod
    def of(cls, text: str) -> Place:
        """Parse ``17.3``; `ValueError` if it is invalid."""
        number, _, place = text.partition(".")
        if not (number.isascii() and place.isascii() and number.isdigit() and place.isdigit()):
            raise ValueError(f"{text!r:.40} is not the id of a payload; expected such as 17.3")
        return cls(int(number[:18]), int(place[:18]))


class _Found:
    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.upto = 0
        self.places: deque[Place] = deque()


class Search:
    """The places of the payloads that match a filter, oldest first.

    A search for text reads every body, so it is done once for each request and filter.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # Protects the results; held during a search, so that two pages don't search twice.
        self._lock = threading.Lock()
        self._found: OrderedDict[Filter, _Found] = OrderedDict()

    def places(self, wanted: Filter) -> tuple[list[Place], int]:
        """All matching places, and the number of the newest request that was searched."""
        with self._lock:
            found = self._found.get(wanted)
            epoch = self._store.epoch
            if found is None or found.epoch != epoch:
                found = self._found[wanted] = _Found(epoch)
            self._found.move_to_end(wanted)
            while len(self._found) > _MAX_FILTERS:
                self._found.popitem(last=False)
            for request in self._store.kept(found.upto):
                found.places.extend(Place(request.number, n) for n in wanted.places(request))
                found.upto = request.number
            self._forget_old(found)
            return list(found.places), found.upto

    def _forget_old(self, found: _Found) -> None:
        oldest = self._store.oldest()
        while found.places and found.places[0].number < oldest:
            found.places.popleft()


def requests_that_fit(store: Store, wanted: Filter) -> list[RecordedRequest]:
    """The requests with a matching payload, and unreadable ones whose text matches."""
    return [request for request in store.kept() if wanted.wants(request)]
