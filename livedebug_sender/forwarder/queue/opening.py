"""From ``memory``, ``disk:/path/to/folder`` or ``kafka://...`` to a queue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import ConfigError
from .browsing import QueueBrowser
from .kafka.url import SCHEME, parse_kafka_url
from .memory import MemoryQueue
from .request_queue import QueueOptions, RequestQueue

MEMORY = "memory"
DISK = "disk:"
KAFKA = SCHEME

_EXPECTED = f"{MEMORY}, {DISK}/path/to/folder or {KAFKA}host:port[,host:port...]/topic"


def check_queue_url(url: str) -> str:
    """The URL, if it names a queue; else ConfigError. Opens nothing."""
    if url == MEMORY:
        return url
    if url.startswith(DISK) and url.removeprefix(DISK).startswith("/"):
        return url
    if url.startswith(KAFKA):
        parse_kafka_url(url)
        return url
    raise ConfigError(f"the queue is {url!r:.200}; expected: {_EXPECTED}")


def open_queue(url: str, options: QueueOptions) -> RequestQueue:
    """The queue of that URL, open, with what waits there from before.

    Raises:
        ConfigError: for an invalid URL, or a place that can't be opened.
    """
    check_queue_url(url)
    if url == MEMORY:
        return MemoryQueue(options)
    if url.startswith(DISK):
        from .disk.disk_queue import DiskQueue  # not every Python has sqlite3

        return DiskQueue(Path(url.removeprefix(DISK)), options)
    from .kafka.queue import KafkaQueue  # it needs an extra

    return KafkaQueue(url, options)


def open_browser(url: str, routes: Sequence[str], kafka_config: str = "") -> QueueBrowser:
    """To look into the queue of that URL.

    Args:
        routes, kafka_config: as in `QueueOptions`.

    Raises:
        ConfigError: there is none, or it can't be reached.
    """
    check_queue_url(url)
    if url == MEMORY:
        raise ConfigError("a queue in memory can't be looked into: it is its process's own")
    if url.startswith(DISK):
        from .disk.browser import DiskBrowser

        return DiskBrowser(Path(url.removeprefix(DISK)))
    from .kafka.browsing import KafkaBrowser

    return KafkaBrowser(url, routes, kafka_config)
