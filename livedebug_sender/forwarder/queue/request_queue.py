"""What a queue of stored requests is; memory, disk and Kafka are behind it.

Who puts gets a promise: once `put` has returned, the request is delivered at least once,
as far as the kind of queue reaches (`RequestQueue.durable`). Who takes has a lease: what
was taken stays in the queue until it is acknowledged or buried, and comes back after a
crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ...delivery.capacity import FLOOD_SHARE
from ...errors import ConfigError
from ...units import MiB
from .stored_request import StoredRequest

#: Of the bounds, what requests to `QueueOptions.flooding` routes may use.
FLOODING_SHARE = FLOOD_SHARE  # as in a sender
#: From this fullness on a queue is nearly full.
NEARLY_FULL = 0.8


class QueueUnreachable(ConfigError):
    """A queue that may be there, but can't be reached now."""


class PutRefused(Exception):
    """A request that was not queued; its message is human-readable.

    Attributes:
        retry_after: seconds after which the tracer may try again.
    """

    def __init__(self, words: str, retry_after: float) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class QueueFull(PutRefused):
    """A bound is reached: of bytes, of items, or of free disk."""


class QueueUnavailable(PutRefused):
    """The queue can't store it now: the disk fails, the brokers are unreachable, it is closed."""


@dataclass(frozen=True)
class QueueOptions:
    """What all kinds share. Sizes in bytes, times in seconds.

    Args:
        routes: the paths whose requests it keeps.
        flooding: those of them that may use `FLOODING_SHARE` of each bound only.
        max_items: in memory only; None: no bound but the bytes.
        max_bytes: what may wait. On a disk: the size of the files.
        min_free: a disk: below so much free space nothing more is taken.
        max_age: older requests are dropped, as expired.
        max_dead_bytes: of dead letters; the oldest go first.
        put_timeout: how long a `put` may take.
        kafka_min_replicas: fewer replicas of a topic than that are refused.
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
        handle: the queue's own.
        redeliveries: how often it was taken before, as far as this process knows.
    """

    request: StoredRequest
    handle: object = field(repr=False)
    redeliveries: int = 0


_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class QueueStats:
    """What a queue holds, and what it did since it was opened.

    Args:
        items, bytes: of what waits or is taken. On a disk, bytes are those of its files.
        limit: of the bytes.
        fullness: 0 to 1, the largest share of any of its bounds.
        oldest_age: seconds since the oldest that waits came; None: nothing does.
        free_disk: bytes; None where there is no disk.
        commits, commit_seconds: how often it was made sure that puts last, and the time of that.
        redelivered: requests taken again after a release.
        expired: requests dropped for their age.
        dead: dead letters by reason; `dead_items` and `dead_bytes` are what is kept of them.
        set_aside: damaged files, or records, that were put aside.
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


class RequestQueue(Protocol):
    """For any number of threads of one process. No call but `put` and `take` waits."""

    @property
    def durable(self) -> bool:
        """Do waiting requests survive the process?"""

    def put(self, request: StoredRequest) -> None:
        """Queue a request; once this returns, it is as durable as the kind of queue allows.

        Raises:
            QueueFull, QueueUnavailable: it is not queued, or can't be known to be. With
                a `durable` one it may be delivered all the same.
        """

    def take(self, route: str, timeout: float | None = None) -> Taken | None:
        """The next request of a route, the oldest first as far as is possible.

        Args:
            timeout: seconds to wait for one; None: until there is one, or `close`.

        Returns:
            None: there was none in time, or the queue is closed.
        """

    def acknowledge(self, taken: Taken) -> None:
        """It was delivered. A crash shortly after may undo that; then it is delivered again."""

    def release(self, taken: Taken, delay: float = 0.0) -> None:
        """It was not; it may be taken again after `delay` seconds."""

    def bury(self, taken: Taken, reason: str) -> None:
        """It was refused for good: keep it as a dead letter. `reason`: one of few, "HTTP 400"."""

    def is_too_old(self, taken: Taken) -> bool:
        """Is it older than `QueueOptions.max_age` by now? Released, it is dropped then."""

    def stats(self) -> QueueStats: ...

    def close(self, timeout: float) -> int:
        """Take no more, wake the threads that wait in `take`, store what was acknowledged.

        Returns:
            How many requests are lost with it: what waits in memory; else 0.
        """
