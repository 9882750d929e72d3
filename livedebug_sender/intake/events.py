"""The stream of server-sent events that keeps a page up to date."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from .api import rows, state
from .filtering import Filter
from .search import Search
from .store import Store

#: Seconds between two events at least: an eye needs no more, and a flood of arrivals costs
#: four events a second, however many they are.
_PAUSE = 0.25
#: Seconds without an event, after which an empty one is sent, to find who has gone.
_HEARTBEAT = 15.0
#: Rows in one event, the newest. Whoever needs more asks for the list.
_MAX_ROWS = 100


def stream(
    store: Store, search: Search, wanted: Filter, after: int, epoch: str, stopping: threading.Event
) -> Iterator[bytes]:
    """An event at once, then one whenever something changed.

    Each has the `state`, the number of `fresh` payloads that fit and came after the event
    before (the first: after the request `after` of `epoch`), the newest of them as `rows`,
    the number of all that fit, `matching`, and that of the newest request, `upto`.
    """
    seen = -1
    while not stopping.is_set():
        with store.news:
            changed = store.news.wait_for(
                lambda: store.changes != seen or stopping.is_set(),  # noqa: B023
                _HEARTBEAT,
            )
            now_seen, now_epoch = store.changes, store.epoch
        if not changed:
            yield b": still here\n\n"
            continue
        if now_epoch != epoch:
            after, epoch = 0, now_epoch
        places, upto = search.places(wanted)
        fresh = list(takewhile(lambda place: place.number > after, reversed(places)))  # noqa: B023
        yield _event(
            {
                **state(store),
                "upto": upto,
                "matching": len(places),
                "fresh": len(fresh),
                "rows": rows(store, fresh[:_MAX_ROWS], wanted),
            }
        )
        seen, after = now_seen, upto
        stopping.wait(_PAUSE)


def _event(data: dict[str, Any]) -> bytes:
    said = json.dumps(data, separators=(",", ":"))
    return f"id: {data['epoch']}:{data['upto']}\ndata: {said}\n\n".encode()
