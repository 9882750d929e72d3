"""The tracer gets its 202 at once; a sender's queue, with its retries, does the rest."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import fields
from types import MappingProxyType

from ..config import SenderConfig
from ..delivery.batch import Batch
from ..delivery.engine import Engine
from ..errors import EnqueueRejected
from ..options import Options
from ..protocol.endpoint import Endpoint
from ..protocol.payload import Upload
from ..protocol.request import Request
from ..protocol.tracks import Track
from ..runtime.log_limiter import LogLimiter
from ..sender import Sender
from ..stats import Stats
from .replies import Refused, Reply, in_json
from .rewriting import Head, outgoing_request
from .routes import ROUTES, Route
from .settings import Settings

#: Seconds after which a tracer may try again when the queue is full.
RETRY_AFTER = 5


class StoreAndForward:
    """Forwards from bounded queues; each sender takes one request a route at a time."""

    def __init__(self, settings: Settings) -> None:
        self._closed = False
        ways = settings.connections
        options = Options(
            max_queue_items=max(1, settings.queue_items // ways),
            max_queue_bytes=settings.queue_bytes // ways,
            # Of bodies whose size was checked before.
            max_payload_bytes=settings.queue_bytes,
            max_batch_items=1,
            linger=0,
            retry_for=settings.retry_for,
            shutdown_timeout=settings.grace,
        )
        config = _Destinations(settings)
        self._problems = LogLimiter()
        self._senders = [ParcelSender(config, options) for _ in range(ways)]
        self._turns = itertools.count()

    def forward(self, route: Route, head: Head, body: bytes) -> Reply:
        """202, once the request is in a queue.

        Raises:
            Refused: 429 if no queue has room, 503 while closing.
        """
        parcel = Parcel(head, body)
        turn = next(self._turns)
        for n in range(len(self._senders)):
            sender = self._senders[(turn + n) % len(self._senders)]
            if sender.takes(route.track, parcel):
                return in_json({}, 202)
        if self._closed:
            raise Refused(503, "shutting down")
        self._problems.note(route.path, f"{route.path}: the queue is full, tracers get a 429")
        self._problems.report()
        retry_after = ("Retry-After", str(RETRY_AFTER))
        raise Refused(429, "the queue is full; slow down and try again", retry_after)

    def stats(self) -> Stats:
        return _sum([sender.stats() for sender in self._senders])

    def close(self, timeout: float) -> bool:
        """Deliver what waits; True if nothing had to be dropped for lack of time."""
        self._closed = True
        until = time.monotonic() + timeout
        for sender in self._senders:
            sender.begin_close(timeout)
        left = [sender.close(max(0.0, until - time.monotonic())) for sender in self._senders]
        self._problems.report(final=True)
        return all(left)


class Parcel(Upload):
    """A request that waits: its body, and its head; as long as both."""

    __slots__ = ("_size", "head")

    def __init__(self, head: Head, body: bytes) -> None:
        super().__init__(body, "")
        self.head = head
        texts = (head.query, *head.headers, *head.headers.values())
        self._size = len(body) + sum(map(len, texts))

    def __len__(self) -> int:
        return self._size


class ParcelSender(Sender):
    """A sender of whole requests: their heads travel with their bodies."""

    def __init__(self, config: SenderConfig, options: Options) -> None:
        super().__init__(config)
        self._options = options
        self._new_engine = ParcelEngine

    def takes(self, track: Track, parcel: Parcel) -> bool:
        """Queue a request; False, and no word of it, if there is no room."""
        try:
            self._here().lanes[track].offer(parcel, None)
        except EnqueueRejected:
            return False
        return True

    def begin_close(self, timeout: float) -> None:
        """Begin what `close` waits for."""
        self._closed = True
        self._here().begin_close(timeout)


class ParcelEngine(Engine):
    def new_request(self, track: Track, batch: Batch, endpoint: Endpoint) -> Request:
        (parcel,) = batch.items
        assert isinstance(parcel, Parcel)
        return outgoing_request(parcel.head, endpoint, parcel.body)


class _Destinations(SenderConfig):
    """Whole URLs, by the track in whose lane a route's requests wait."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._by_track = {
            route.track: settings.destinations[path] for path, route in ROUTES.items()
        }

    def endpoints_for(self, track: Track | str) -> tuple[Endpoint, ...]:
        return self._by_track[Track(track)]


def _sum(all_stats: list[Stats]) -> Stats:
    numbers = {
        one.name: sum(getattr(stats, one.name) for stats in all_stats)
        for one in fields(Stats)
        if one.name != "dropped"
    }
    dropped: Counter[str] = Counter()
    for stats in all_stats:
        dropped.update(stats.dropped)
    return Stats(dropped=MappingProxyType(dropped), **numbers)
