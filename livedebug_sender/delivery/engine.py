"""The part of a sender that lives in one process and dies with it.

Queues, counters, locks, threads and connections: everything a forked child must not
share with its parent. A child makes itself a new one.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..config import SenderConfig
from ..errors import EnqueueRejected
from ..options import Options
from ..protocol.endpoint import Endpoint, path_of
from ..protocol.request import Request, build_request
from ..protocol.tags import cut_tags
from ..protocol.tracks import Track
from ..runtime import lazy_import, shutdown
from ..runtime.container import identity_headers
from ..runtime.fork import owned_by_this_process
from ..runtime.log_limiter import LogLimiter
from ..stats import Stats
from ..transport.request_hook import without_faults
from .accounting import DropReport, Refusals
from .batch import Batch
from .capacity import Room
from .context import Context
from .downgrade import AgentWatch
from .dual_shipping import Courier, DualShipping
from .worker import Lane

if TYPE_CHECKING:
    from ..transport.transport import Transport

#: The bounds of what may wait for one additional endpoint are the queue's over this.
_COURIER_SHARE = 4


class OpenLanes(dict[object, Lane]):
    """The lanes that take payloads, each found when it is first asked for.

    They stay: the endpoint of a track may change, but not go. Only a close clears them.
    """

    def __init__(self, find: Callable[[object], Lane]) -> None:
        self._find = find

    def __missing__(self, track: object) -> Lane:
        lane = self._find(track)
        self[lane.track] = lane
        try:
            return self._find(track)
        except EnqueueRejected:  # closed in between
            self.clear()
            raise


class Engine:
    def __init__(self, config: SenderConfig, tags: str, options: Options) -> None:
        self.owned_by_this_process = owned_by_this_process()
        self.closed = False
        self._config = config
        self._options = options
        self._clock = time.monotonic
        self._problems = LogLimiter()
        self._refusals = Refusals()
        self._identity: Mapping[str, str] | None = None
        self._tags = cut_tags(tags)
        if self._tags != tags:
            cut = f"{len(tags)} characters of tags cut to {len(self._tags)}"
            self._problems.note("tags cut", cut)
        self._room = Room(options.max_queue_items, options.max_queue_bytes)
        self._drops = DropReport(options.on_drop, self._problems)
        self._dual_shipping = DualShipping(self._new_courier)
        context = Context(
            config=config,
            options=options,
            room=self._room,
            problems=self._problems,
            drops=self._drops,
            dual_shipping=self._dual_shipping,
            agent_watch=AgentWatch(config, options.recheck_after, self._problems, self._clock),
            new_request=self.new_request,
            new_transport=self._new_transport,
            clock=self._clock,
            lane_ended=self._lane_ended,
        )
        self._lanes = {track: Lane(track, context) for track in Track}
        #: Those that take payloads, by track.
        self.lanes = OpenLanes(self._find)
        self._retired = False

    # ---- in ----

    def _find(self, track: object) -> Lane:
        """The lane of a track that takes payloads; `EnqueueRejected` if there is none."""
        if self.closed:
            raise EnqueueRejected("closed", "the sender was closed")
        lane: Lane | None = self._lanes.get(track)  # type: ignore[call-overload]
        if lane is None:
            raise EnqueueRejected("invalid", "no such track")
        if not self._config.endpoints_for(lane.track):
            raise EnqueueRejected("invalid", "no endpoint is set for this track")
        return lane

    def refuse(self, track: object, reason: str, detail: str) -> bool:
        self._refusals.count(reason)
        self._drops.tell(_name(track), reason, 1, detail)
        return False

    # ---- flush and close ----

    def flush(self, timeout: float) -> bool:
        deadline = self._clock() + timeout
        done = self._wait_for_lanes(deadline)
        self._problems.report()
        return done

    def begin_close(self, timeout: float | None = None) -> float:
        """Take no more, and send what is here, without waiting for it.

        In `timeout` seconds; None means `shutdown_timeout`.

        Returns:
            When that time is over (seconds of the clock), for `finish_close`.
        """
        timeout = self._options.shutdown_timeout if timeout is None else timeout
        deadline = self._clock() + timeout
        self._shut()
        for lane in self._lanes.values():
            lane.close_by(deadline)
        return deadline

    def finish_close(self, deadline: float) -> bool:
        """Wait for `begin_close`'s work, until its time is over."""
        self._wait_for_lanes(deadline)
        for lane in self._lanes.values():
            lane.abandon()
        self._dual_shipping.close(deadline)
        for lane in self._lanes.values():
            lane.join(deadline - self._clock())
        self._problems.report(final=True)
        shutdown.unregister(self)
        return not self.stats().dropped["shutdown"]

    def retire(self) -> None:
        """The owner is gone: deliver what is here by the usual rules, then end."""
        self._retired = True
        self._shut()
        for lane in self._lanes.values():
            lane.close_by(math.inf)
        if not self.stats().pending:
            shutdown.unregister(self)

    def _lane_ended(self) -> None:
        if self._retired and not self.stats().pending:
            self._dual_shipping.close(self._clock() + self._options.shutdown_timeout)
            self._problems.report(final=True)
            shutdown.unregister(self)

    def _shut(self) -> None:
        self.closed = True
        self.lanes.clear()

    def _wait_for_lanes(self, deadline: float) -> bool:
        lanes = list(self._lanes.values())
        marks = [lane.hurry() for lane in lanes]
        done = True
        for n, (lane, mark) in enumerate(zip(lanes, marks, strict=True)):
            # Only matters where the work is done here, one lane after the other.
            now = self._clock()
            share = now + (deadline - now) / (len(lanes) - n)
            done = lane.wait_for(mark, deadline, share) and done
        return done

    # ---- out ----

    def stats(self) -> Stats:
        dropped: Counter[str] = self._refusals.read()
        delivered = pending = requests = retries = bytes_sent = 0
        for lane in self._lanes.values():
            with lane.books as books:
                delivered += books.delivered
                pending += books.pending()
                dropped += books.lost
                requests += books.requests
                retries += books.retries
                bytes_sent += books.bytes_sent
        lost = dropped["rejected"] + dropped["undeliverable"] + dropped["shutdown"]
        arrived, failed = self._dual_shipping.counts()
        return Stats(
            enqueued=delivered + pending + lost,
            delivered=delivered,
            dropped=dropped,
            pending=pending,
            pending_bytes=self._room.read()[1],
            requests=requests,
            retries=retries,
            bytes_sent=bytes_sent,
            additional_delivered=arrived,
            additional_failed=failed,
        )

    # ---- parts; the first is for engines that carry something else ----

    def new_request(self, track: Track, batch: Batch, endpoint: Endpoint) -> Request:
        return build_request(
            endpoint,
            path_of(endpoint, track),
            track,
            batch.items,
            self._tags,
            self._identity_headers(),
        )

    def _new_transport(self) -> Transport:
        hook = self._options.around_request
        around = None if hook is None else without_faults(hook, self._problems)
        transport: type[Transport] = lazy_import.load(
            "livedebug_sender.transport.transport", "Transport"
        )
        return transport(self._options.session_factory, around)

    def _new_courier(self, endpoint: Endpoint) -> Courier:
        requests = max(1, self._options.max_queue_items // _COURIER_SHARE)
        size = self._options.max_queue_bytes // _COURIER_SHARE
        return Courier(endpoint, requests, size, self._new_transport, self._problems, self._clock)

    def _identity_headers(self) -> Mapping[str, str]:
        if self._identity is None:
            self._identity = identity_headers()
        return self._identity


def _name(track: object) -> str:
    try:
        return track[:40] if isinstance(track, str) else f"{track!r:.40}"
    except Exception:  # a hostile repr
        return type(track).__name__
