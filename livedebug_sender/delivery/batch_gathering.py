"""Gathers a batch: waits for a first payload, then lingers for more."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import cast

from ..options import Options
from ..protocol.pruning import prune
from ..protocol.tracks import Track
from .capacity import QueueCapacity
from .ledger import Ledger
from .payload_queue import PayloadQueue
from .work_deadline import WorkDeadline


class BatchGathering:
    """Fills the next batch of a track from its queue.

    Args:
        prune_to: bytes to which larger snapshots are pruned; None: no pruning.
    """

    def __init__(
        self,
        track: Track,
        options: Options,
        queue: PayloadQueue,
        ledger: Ledger,
        capacity: QueueCapacity,
        deadline: WorkDeadline,
        clock: Callable[[], float],
        *,
        prune_to: int | None,
    ) -> None:
        # Symbol uploads are opaque, and can't be merged.
        self._max_items = 1 if track is Track.SYMDB else options.max_batch_items
        self._max_bytes = options.max_batch_bytes
        self._linger = options.linger
        self._queue = queue
        self._ledger = ledger
        self._capacity = capacity
        self._deadline = deadline
        self._clock = clock
        self._prune_to = prune_to
        #: Payloads up to this number are being flushed: they do not linger.
        self._watermark = 0

    def request_flush(self, watermark: int) -> None:
        self._watermark = max(self._watermark, watermark)

    def run(self, *, wait: bool) -> None:
        """Create a batch from the payloads in the queue, if there are any; see `Ledger`.

        Args:
            wait: for a first payload, and `linger` for more.
        """
        ledger, queue = self._ledger, self._queue
        if wait and not queue and not ledger.state.gathered:
            queue.wait_for_first()
        size = self._gather()
        linger_until = self._clock() + self._linger
        while wait and self._has_room(size) and not self._is_urgent():
            left = linger_until - self._clock()
            if left <= 0:
                break
            more = self._max_items - len(ledger.state.gathered)
            queue.wait_for_more(more, self._max_bytes - size, left)
            size = self._gather()
        if self._prune_to is not None:
            size = self._prune(self._prune_to)
        ledger.close_batch(self._count_that_fits(size))

    def _gather(self) -> int:
        """Move payloads out of the queue, as many as fit; returns the bytes gathered so far."""
        self._ledger.gather(self._max_items)
        return sum(map(len, self._ledger.state.gathered))

    def _has_room(self, size: int) -> bool:
        gathered = self._ledger.state.gathered
        return 0 < len(gathered) < self._max_items and size < self._max_bytes

    def _is_urgent(self) -> bool:
        return (
            self._deadline.closing
            or self._watermark > self._ledger.state.settled
            or self._capacity.crowded()
        )

    def _prune(self, max_size: int) -> int:
        """Prune payloads that are too large; those that can't be pruned are rejected."""
        for item in [one for one in self._ledger.state.gathered if len(one) > max_size]:
            pruned = prune(cast("bytes", item), max_size)
            detail = f"more than {max_size} bytes, though pruned"
            self._ledger.replace_gathered(item, pruned, detail)
        return sum(map(len, self._ledger.state.gathered))

    def _count_that_fits(self, size: int) -> int:
        """The number of gathered payloads that fit into a batch; the first always does."""
        gathered = self._ledger.state.gathered
        if size <= self._max_bytes or not gathered:
            return len(gathered)
        return max(1, bisect_right(list(accumulate(map(len, gathered))), self._max_bytes))
