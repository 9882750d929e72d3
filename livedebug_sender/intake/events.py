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

#: Minimum seconds between two events: enough for a viewer, and at most four events a second,
#: however many requests arrive.
_PAUSE = 0.25
#: Seconds without an event after which an empty one is sent, to detect closed connections.
_HEARTBEAT = 15.0
#: Maximum rows in one event, the newest. A client that needs more requests the list.
_MAX_ROWS = 100


def stream(
    store: Store, search: Search, wanted: Filter, after: int, epoch: str, stopping: threading.Event
) -> Iterator[bytes]:
    """One event at once, then one whenever something changed.

    Each has the `state`; `fresh`, the number of matching payloads since the previous event
    (in the first: since the request `after` of `epoch`), the newest of them as `rows`;
    `matching`, the number of all that match; and `upto`, the number of the newest request.
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
