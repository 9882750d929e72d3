"""The interface of a queue of stored requests; implemented in memory, on disk and in Kafka.

Once `put` has returned, or `put_async` has confirmed it, the request is delivered at least once, as
far as the kind of queue allows (`RequestQueue.durable`). `take` grants a lease: the request stays
in the queue until it is acknowledged or buried, and is delivered again after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ...delivery.capacity import FLOOD_SHARE
from ...errors import ConfigError
from ...units import MiB
from .stored_request import StoredRequest

#: The share of the limits that requests to `QueueOptions.flooding` routes may use.
FLOODING_SHARE = FLOOD_SHARE  # as in a sender
#: The fullness from which a queue is nearly full.
NEARLY_FULL = 0.8
#: Seconds after which a tracer whose request was refused may try again.
RETRY_AFTER = 5.0
#: Seconds beyond `QueueOptions.put_timeout`, so that a queue can say itself why it refuses.
PUT_MARGIN = 1.0


class QueueUnreachable(ConfigError):
    """The queue can't be reached now, but may exist."""


class PutRefused(Exception):
    """A request that was not queued; its message is human-readable.

    Attributes:
        retry_after: seconds after which the tracer may try again.
    """

    def __init__(self, words: str, retry_after: float) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class QueueFull(PutRefused):
    """A limit is reached: of bytes, of items, or of free disk space."""


class QueueUnavailable(PutRefused):
    """The queue can't store it now: the disk fails, the brokers are unreachable, it is closed."""


def shutting_down() -> QueueUnavailable:
    """The refusal of a request for a queue that is closed."""
    return QueueUnavailable("shutting down", RETRY_AFTER)


def late() -> QueueUnavailable:
    """The refusal of a request that was not stored in time."""
    return QueueUnavailable("the queue did not answer in time", RETRY_AFTER)


@dataclass(frozen=True)
class QueueOptions:
    """The options of all kinds of queues. Sizes in bytes, times in seconds.

    Args:
        routes: the paths whose requests it accepts.
        flooding: those of them that may use only `FLOODING_SHARE` of each limit.
        max_items: in memory only; None: limited by bytes alone.
        max_bytes: maximum size. On disk: that of the files.
        min_free: on disk: nothing is accepted while less space is free.
        max_age: older requests are dropped as expired.
        max_dead_bytes: maximum size of dead letters; the oldest are deleted first.
        put_timeout: seconds until a request that is not stored is refused; the answer may come
            2 s later.
        kafka_min_replicas: a topic with fewer replicas is refused.
        kafka_config: a file of librdkafka properties; "": none.
    """

    routes: tuple[str, ...]
    flooding: frozenset[str] = frozenset()
    max_items: int | None = None
    max_bytes: int = 256 * MiB
    min_free: int = 256 * MiB
    max_age: float = 12 * 3600.0
    max_dead_bytes: int = 64 * MiB
    put_timeout: float = 10.0
    kafka_min_replicas: int = 3
    kafka_config: str = ""


@dataclass(frozen=True, eq=False)
class Taken:
    """A lease of one request.

    Args:
        handle: internal to the queue.
        redeliveries: how often it was taken before, as far as this process knows.
    """

    request: StoredRequest
    handle: object = field(repr=False)
    redeliveries: int = 0


_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class QueueStats:
    """The contents of a queue, and counts since it was opened.

    Args:
        items, bytes: requests that wait or are taken. On disk, bytes are those of its files.
        limit: the limit of the bytes.
        fullness: 0 to 1, the largest used share of any of its limits.
        oldest_age: seconds since the oldest waiting request arrived; None: none waits.
        free_disk: bytes; None for a queue that is not on disk.
        commits, commit_seconds: how often new requests were made durable, and how long that took.
        redelivered: requests taken again after a release.
        expired: requests dropped for their age.
        dead: dead letters by reason; `dead_items` and `dead_bytes` are those that are kept.
        set_aside: damaged files or records that were set aside.
        errors: of the disk or the broker.
    """

    items: int
    bytes: int
    limit: int
    fullness: float
    oldest_age: float | None = None
    free_disk: int | None = None
    commits: int = 0
    commit_seconds: float = 0.0
    redelivered: int = 0
    expired: int = 0
    dead: Mapping[str, int] = field(default_factory=lambda: _NONE)
    dead_items: int = 0
    dead_bytes: int = 0
    set_aside: int = 0
    errors: int = 0

    @property
    def nearly_full(self) -> bool:
        return self.fullness >= NEARLY_FULL


#: Called with None once a request is stored, or with the reason why it is refused.
PutCallback = Callable[["PutRefused | None"], None]


class RequestQueue(Protocol):
    """For any number of threads of one process. Only `put` and `take` block."""

    @property
    def durable(self) -> bool:
        """Whether waiting requests survive the process."""

    def put(self, request: StoredRequest) -> None:
        """Queue a request; once this returns, it is as durable as the kind of queue allows.

        Raises:
            QueueFull, QueueUnavailable: it is not queued, or that is unknown. From a
                `durable` queue it may be delivered nevertheless.
        """

    def put_async(self, request: StoredRequest, callback: PutCallback) -> None:
        """As `put`, but without waiting: no thread has to be woken for each request.

        Args:
            callback: called once, on any thread, maybe before this returns. It must neither
                block nor raise. If the disk hangs it is not called: see `PutTimeouts`.
        """

    def take(self, route: str, timeout: float | None = None) -> Taken | None:
        """The next request of a route, the oldest first as far as is possible.

        Args:
            timeout: seconds to wait for one; None: until there is one, or `close`.

        Returns:
            None: there was none in time, or the queue is closed.
        """

    def acknowledge(self, taken: Taken) -> None:
        """Mark it delivered. After a crash shortly afterwards it may be delivered again."""

    def release(self, taken: Taken, delay: float = 0.0) -> None:
        """Mark it not delivered; it may be taken again after `delay` seconds."""

    def bury(self, taken: Taken, reason: str) -> None:
        """Keep it as a dead letter, since it was refused permanently. `reason`: as "HTTP 400"."""

    def is_too_old(self, taken: Taken) -> bool:
        """Whether it is older than `QueueOptions.max_age`; if released, it is then dropped."""

    def stats(self) -> QueueStats: ...

    def close(self, timeout: float) -> int:
        """Accept no more, wake the threads that wait in `take`, store the acknowledgements.

        Returns:
            The number of lost requests: those waiting in memory; otherwise 0.
        """
