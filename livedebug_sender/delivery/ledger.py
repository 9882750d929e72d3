"""The counts of one track: where every payload is, and whether it was delivered or lost.

A payload is in the track's queue, in flight (its worker has it), or resolved: delivered or
lost. Everything except the queue is one immutable `LedgerState`, and every change is a single
assignment. So whatever interrupts the thread (a signal handler that raises, an exception that
kills it), each payload is in exactly one place, and the enqueued payloads are the sum of the three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from ..protocol.payload import Item
from ..protocol.tracks import Track
from ..runtime.auto_reset_event import AutoResetEvent
from ..runtime.signal_safe_lock import SignalSafeLock
from .capacity import FLOODS, Amount, QueueCapacity
from .drops import DropReporter
from .payload_queue import PayloadQueue

#: After this many requests that seem to have crashed the intake, a batch is halved at each attempt.
MAX_CRASHES = 3


#: A watermark, and the event that is set once that many payloads are settled.
_Watcher = tuple[int, AutoResetEvent]


@dataclass
class Batch:
    """Payloads that share a request, and the history of their attempts."""

    items: Sequence[Item]
    #: When it was first tried (seconds of the clock); None: not yet. The parts of a split
    #: batch keep it, since `retry_for` counts from there.
    tried_at: float | None = None
    #: How often the intake answered 500 to it, or closed the connection after its body.
    crashes: int = 0
    #: Whether the additional endpoints have got their copy.
    copied: bool = False
    #: Whether it is a part of a batch that was split.
    is_part: bool = False

    def __post_init__(self) -> None:
        #: In bytes.
        self.size = sum(map(len, self.items))

    @property
    def is_suspect(self) -> bool:
        """Whether one of its payloads seems to crash the intake, and delays others.

        The others are those in the batch or, for a part of a split batch, the other parts.
        """
        return self.crashes >= MAX_CRASHES and (len(self.items) > 1 or self.is_part)

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.items) // 2
        return self._part(self.items[:middle]), self._part(self.items[middle:])

    def _part(self, items: Sequence[Item]) -> Batch:
        return Batch(items, self.tried_at, self.crashes, self.copied, is_part=True)


class Drop(NamedTuple):
    """Lost payloads, to be reported to the log and to `on_drop`."""

    reason: str
    payloads: int
    detail: str


@dataclass(frozen=True)
class LedgerState:
    """The payloads that have left the queue."""

    #: Taken out of the queue, and not in a batch yet; oldest first.
    gathered: list[Item] = field(default_factory=list)
    #: To be delivered, the next one last.
    batches: tuple[Batch, ...] = ()
    delivered: int = 0
    lost: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    #: Lost payloads that are not reported yet.
    unreported: tuple[Drop, ...] = ()
    #: The remaining payloads were counted as lost in the shutdown; nothing changes after that.
    abandoned: bool = False

    @property
    def in_flight(self) -> int:
        return len(self.gathered) + sum(len(batch.items) for batch in self.batches)

    @property
    def resolved(self) -> int:
        return self.delivered + sum(self.lost.values())

    @property
    def settled(self) -> int:
        """The number that are resolved and, if lost, reported."""
        return self.resolved - sum(drop.payloads for drop in self.unreported)


class RequestCounts(NamedTuple):
    """The requests of a track to its primary endpoint."""

    made: int = 0
    retried: int = 0
    bytes_sent: int = 0


class Ledger:
    """See the module."""

    def __init__(
        self, track: Track, queue: PayloadQueue, capacity: QueueCapacity, drops: DropReporter
    ) -> None:
        self._track = track
        self._queue = queue
        self._capacity = capacity
        self._drops = drops
        self._flood = track in FLOODS
        # Protects `_state` and the move out of the queue, so that readers find each payload in
        # exactly one place. Never taken by `enqueue`; re-entrant, for a finalizer that calls
        # `stats`. `close` runs on the host's thread, whose signal handlers may raise.
        self._lock = SignalSafeLock()
        self._state = LedgerState()
        self._requests = RequestCounts()
        self._watchers: list[_Watcher] = []

    @property
    def state(self) -> LedgerState:
        return self._state

    @property
    def requests(self) -> RequestCounts:
        return self._requests

    @property
    def abandoned(self) -> bool:
        return self._state.abandoned

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in the queue or in flight, checked without a lock."""
        return not (self._queue or self._state.in_flight)

    def look(self) -> tuple[LedgerState, int]:
        """The state, and the number of payloads in the queue or in flight, at one moment.

        Do not compute the number from the state later: the list of gathered payloads grows.
        """
        with self._lock:
            return self._state, self._state.in_flight + len(self._queue)

    def held(self) -> tuple[object, Amount]:
        """A fingerprint of the queue and the state, and the amount in them, without a lock.

        If two calls return the same fingerprint, nothing moved between them.
        """
        state, waiting = self._state, self._queue.sizes()
        size = sum(waiting) + sum(map(len, state.gathered)) + sum(b.size for b in state.batches)
        held = Amount(len(waiting) + state.in_flight, size)
        return (id(state), len(state.gathered), len(waiting)), held

    def enqueued(self) -> int:
        """The number of payloads that were put so far."""
        state, pending = self.look()
        return state.resolved + pending

    # ---- changes by the working thread ----

    def gather(self, max_items: int) -> None:
        """Move payloads out of the queue, until `max_items` are gathered."""
        with self._lock:
            if not self._state.abandoned:
                gathered = self._state.gathered
                self._queue.move_to(gathered, max_items - len(gathered))

    def replace_gathered(self, item: Item, smaller: Item | None, detail: str) -> None:
        """Replace a gathered payload by a smaller one; None: it is rejected."""
        with self._lock:
            state = self._state
            if state.abandoned:
                return
            at = next(n for n, one in enumerate(state.gathered) if one is item)
            kept = [] if smaller is None else [smaller]
            gathered = [*state.gathered[:at], *kept, *state.gathered[at + 1 :]]
            drop = Drop("rejected", 1, detail) if smaller is None else None
            self._state = _moved(state, gathered, state.batches, drop)
        self._capacity.release(
            int(smaller is None), len(item) - len(smaller or b""), flood=self._flood
        )
        if drop is not None:
            self._report(drop)

    def close_batch(self, count: int) -> None:
        """Create a batch of the first `count` gathered payloads."""
        with self._lock:
            state = self._state
            if count and not state.abandoned:
                batch = Batch(state.gathered[:count])
                self._state = _moved(state, state.gathered[count:], (*state.batches, batch))

    def split(self, batch: Batch) -> None:
        """Replace the next batch by its halves."""
        first, second = batch.halves()
        with self._lock:
            state = self._state
            if not state.abandoned:
                batches = (*state.batches[:-1], second, first)
                self._state = _moved(state, state.gathered, batches)

    def put_behind(self, batch: Batch) -> None:
        """Move the next batch after the others, in halves if it has more than one payload."""
        parts = reversed(batch.halves()) if len(batch.items) > 1 else (batch,)
        with self._lock:
            state = self._state
            if not state.abandoned:
                self._state = _moved(state, state.gathered, (*parts, *state.batches[:-1]))

    def settle(self, batch: Batch, reason: str | None = None, detail: str = "") -> None:
        """Count the next batch as delivered or, with a reason, as lost."""
        count = len(batch.items)
        drop = None if reason is None else Drop(reason, count, detail)
        with self._lock:
            state = self._state
            if state.abandoned:  # `abandon` has already counted it
                return
            delivered = 0 if drop else count
            self._state = _moved(state, state.gathered, state.batches[:-1], drop, delivered)
        self._capacity.release(count, batch.size, flood=self._flood)
        if drop is not None:
            self._report(drop)
        self._tell_watchers()

    def report_left_over(self) -> None:
        """Report the drops that a killed worker counted but did not report."""
        for drop in self._state.unreported:
            self._report(drop)

    def count_request(self, *, retry: bool, bytes_sent: int) -> None:
        with self._lock:
            made, retried, sent = self._requests
            self._requests = RequestCounts(made + 1, retried + retry, sent + bytes_sent)

    # ---- by any thread ----

    def abandon(self) -> None:
        """Count all unresolved payloads as lost in the shutdown."""
        with self._lock:
            state = self._state
            self._queue.move_to(state.gathered, len(self._queue))
            lost = state.in_flight
            held = Amount(lost, sum(map(len, state.gathered)) + sum(b.size for b in state.batches))
            drop = Drop("shutdown", lost, "") if lost else None
            self._state = _moved(state, [], (), drop, abandoned=True)
        if drop is not None:
            self._capacity.release(*held, flood=self._flood)
            self._report(drop)
        self._tell_watchers()

    def watch(self, watermark: int) -> AutoResetEvent:
        """An event that is set once the first `watermark` payloads are settled.

        Wait for it with a timeout: a killed worker does not set it.
        """
        event = AutoResetEvent()
        with self._lock:
            self._watchers.append((watermark, event))
        self._tell_watchers()
        return event

    def unwatch(self, event: AutoResetEvent) -> None:
        with self._lock:
            self._watchers = _without(self._watchers, event)

    def _report(self, drop: Drop) -> None:
        try:
            self._drops.report(self._track.value, *drop)
        finally:
            with self._lock:
                unreported = tuple(one for one in self._state.unreported if one is not drop)
                self._state = replace(self._state, unreported=unreported)
            self._tell_watchers()

    def _tell_watchers(self) -> None:
        with self._lock:
            reached, self._watchers = _parted(self._watchers, self._state.settled)
        for _, event in reached:
            event.set()


# Separate functions, since they loop: see tests/runtime/test_jumps.py.


def _without(watchers: list[_Watcher], event: AutoResetEvent) -> list[_Watcher]:
    return [watcher for watcher in watchers if watcher[1] is not event]


def _parted(watchers: list[_Watcher], settled: int) -> tuple[list[_Watcher], list[_Watcher]]:
    """The watchers whose watermark is reached, and the others."""
    reached = [watcher for watcher in watchers if watcher[0] <= settled]
    return reached, [watcher for watcher in watchers if watcher[0] > settled]


def _moved(
    state: LedgerState,
    gathered: list[Item],
    batches: tuple[Batch, ...],
    drop: Drop | None = None,
    delivered: int = 0,
    *,
    abandoned: bool = False,
) -> LedgerState:
    """The state after payloads were moved out of the gathered ones and the batches."""
    lost, unreported = state.lost, state.unreported
    if drop is not None:
        counts = {**lost, drop.reason: lost.get(drop.reason, 0) + drop.payloads}
        lost, unreported = MappingProxyType(counts), (*unreported, drop)
    return LedgerState(
        gathered,
        batches,
        state.delivered + delivered,
        lost,
        unreported,
        state.abandoned or abandoned,
    )
