"""Folders of disk queues as a crash leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queue_kinds import ROUTE, queue_options
from waiting import until

from livedebug_sender.forwarder.queue.browsing import WAITING
from livedebug_sender.forwarder.queue.disk.browser import DiskBrowser
from livedebug_sender.forwarder.queue.disk.disk_queue import DiskQueue
from livedebug_sender.forwarder.queue.stored_request import StoredRequest


def opened(folder: Path, **options: Any) -> DiskQueue:
    return DiskQueue(folder, queue_options(**options))


def crashed(
    folder: Path, requests: Sequence[StoredRequest], *, delivered: int = 0, **options: Any
) -> Path:
    """A folder in which these requests were put, the first of them delivered, and no close."""
    queue_folder = folder.with_name(f"{folder.name}-alive")
    queue = opened(queue_folder, **options)
    try:
        for request in requests:
            queue.put(request)
        for _ in range(delivered):
            taken = queue.take(ROUTE, 20)
            assert taken
            queue.acknowledge(taken)
        assert until(lambda: waiting_in(queue_folder) == len(requests) - delivered)
        shutil.copytree(queue_folder, folder)
    finally:
        queue.close(5)
    return folder


def waiting_in(folder: Path) -> int:
    """How many requests the files say are waiting, whatever the queue knows besides."""
    with DiskBrowser(folder) as browser:
        return sum(1 for _ in browser.entries(WAITING))


def taken_from(queue: DiskQueue, *, patience: float = 0.5) -> list[StoredRequest]:
    """All that can be taken, each acknowledged; waits so long for what can't be taken yet."""
    requests = []
    while taken := queue.take(ROUTE, patience if queue.stats().items else 0.0):
        requests.append(taken.request)
        queue.acknowledge(taken)
    return requests


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.segment"))
