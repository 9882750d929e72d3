"""The kinds of queue that the suite of the seam runs on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka_broker import new_topic, shared_hosts

from livedebug_sender.forwarder.queue.opening import open_queue
from livedebug_sender.forwarder.queue.request_queue import QueueOptions, RequestQueue
from livedebug_sender.forwarder.queue.stored_request import StoredRequest

ROUTE = "/debugger/v2/input"
OTHER_ROUTE = "/debugger/v1/diagnostics"
#: A URL for a queue that is new, with a folder to use; skips the test where there is none.
NewUrl = Callable[[Path], str]


def _new_topic(folder: Path) -> str:
    """With a partition for each of the two routes, so that there is one order."""
    return new_topic(shared_hosts(), partitions=2)


KINDS: dict[str, NewUrl] = {
    "memory": lambda folder: "memory",
    "disk": lambda folder: f"disk:{folder / 'queue'}",
    "kafka": _new_topic,
}


def a_request(body: bytes = b"[]", route: str = ROUTE, **given: Any) -> StoredRequest:
    given.setdefault("request_id", str(uuid.uuid4()))
    given.setdefault("received_at", time.time())
    given.setdefault("query", "ddtags=a%3Ab")
    given.setdefault("headers", {"Content-Type": "application/json"})
    return StoredRequest(route=route, body=body, **given)


def queue_options(**given: Any) -> QueueOptions:
    given.setdefault("routes", (ROUTE, OTHER_ROUTE))
    given.setdefault("min_free", 1)
    given.setdefault("kafka_min_replicas", 1)
    return QueueOptions(**given)


class QueueMaker:
    """Opens queues at one place, one after the other, and closes what was left open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open: list[RequestQueue] = []

    def __call__(self, **options: Any) -> RequestQueue:
        queue = open_queue(self.url, queue_options(**options))
        self._open.append(queue)
        return queue

    def close(self) -> None:
        for queue in self._open:
            queue.close(5.0)


@contextmanager
def queue_maker(kind: str, folder: Path) -> Iterator[QueueMaker]:
    maker = QueueMaker(KINDS[kind](folder))
    try:
        yield maker
    finally:
        maker.close()
