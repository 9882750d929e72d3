"""Opens the queue of a URL: ``memory``, ``disk:/path/to/folder`` or ``kafka://...``."""

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
    """Return the URL if it names a queue, else raise ConfigError. Opens nothing."""
    if url == MEMORY:
        return url
    if url.startswith(DISK) and url.removeprefix(DISK).startswith("/"):
        return url
    if url.startswith(KAFKA):
        parse_kafka_url(url)
        return url
    raise ConfigError(f"the queue is {url!r:.200}; expected: {_EXPECTED}")


def open_queue(url: str, options: QueueOptions) -> RequestQueue:
    """Open the queue of that URL, with the requests that it already contains.

    Raises:
        ConfigError: the URL is invalid, or the queue can't be opened.
    """
    check_queue_url(url)
    if url == MEMORY:
        return MemoryQueue(options)
    if url.startswith(DISK):
        from .disk.disk_queue import DiskQueue  # not every Python has sqlite3

        return DiskQueue(Path(url.removeprefix(DISK)), options)
    from .kafka.queue import KafkaQueue  # needs an extra

    return KafkaQueue(url, options)


def open_browser(url: str, routes: Sequence[str], kafka_config: str = "") -> QueueBrowser:
    """A browser for the queue of that URL.

    Args:
        routes, kafka_config: as in `QueueOptions`.

    Raises:
        ConfigError: there is none, or it can't be reached.
    """
    check_queue_url(url)
    if url == MEMORY:
        raise ConfigError("a queue in memory can't be inspected from another process")
    if url.startswith(DISK):
        from .disk.browser import DiskBrowser

        return DiskBrowser(Path(url.removeprefix(DISK)))
    from .kafka.browsing import KafkaBrowser

    return KafkaBrowser(url, routes, kafka_config)
