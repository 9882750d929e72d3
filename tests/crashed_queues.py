"""Folders of disk queues as a crash leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queue_kinds import ROUTE, queue_options

from livedebug_sender.forwarder.queue.disk.disk_queue import DiskQueue
from livedebug_sender.forwarder.queue.stored_request import StoredRequest


def opened(folder: Path, **options: Any) -> DiskQueue:
    return DiskQueue(folder, queue_options(**options))


def crashed(
    folder: Path, requests: Sequence[StoredRequest], *, delivered: int = 0, **options: Any
) -> Path:
    """A folder in which these requests were put, the first of them delivered, and no close."""
    queue = opened(folder.with_name(f"{folder.name}-alive"), **options)
    try:
        for request in requests:
            queue.put(request)
        for _ in range(delivered):
            taken = queue.take(ROUTE, 20)
            assert taken
            queue.acknowledge(taken)
        # What is delivered is written down with the next commit.
        if delivered:
            queue.put(requests[-1])
        shutil.copytree(folder.with_name(f"{folder.name}-alive"), folder)
    finally:
        queue.close(5)
    return folder


def taken_from(queue: DiskQueue, *, patience: float = 0.5) -> list[StoredRequest]:
    """All that can be taken, each acknowledged; waits so long for what can't be taken yet."""
    requests = []
    while taken := queue.take(ROUTE, patience if queue.stats().items else 0.0):
        requests.append(taken.request)
        queue.acknowledge(taken)
    return requests


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.segment"))
