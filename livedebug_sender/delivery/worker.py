"""A track's worker: accepts its payloads, gathers them into batches and delivers them.

Each track has its own worker, so that one failing track never delays another. Its work is
done by one thread at a time: its own, started with the first payload, or, if no thread can be
started, the caller of `flush` or `close`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from ..errors import EnqueueRejected, InvalidPayload
from ..protocol.payload import CLOSING, Item, min_size
from ..protocol.tracks import Track
from ..runtime.atomic import STEP
from ..runtime.auto_reset_event import AutoResetEvent
from ..runtime.host_signals import reraise_of_signal_handler
from .batch_delivery import BatchDelivery
from .batch_gathering import BatchGathering
from .capacity import FLOODS, QueueCapacity
from .ledger import Ledger
from .payload_queue import UNATTENDED, PayloadQueue
from .recount import Recount
from .work_deadline import OutOfTime, WorkDeadline

#: Seconds before another attempt to start a thread, after one could not be started or did not
#: run; also from the start of a thread that was killed until the next one works.
_THREAD_AGAIN = 1.0
#: Seconds after which a started thread that has not begun to run is given up.
_BEGINS_WITHIN = 2.0
#: How often a killed thread repeats its cleanup if it is killed again during that.
_STRIKES = 100
#: Seconds after which a waiting `flush` checks again that a thread is at work.
_LOOK_AGAIN = 0.25


class TrackWorker:
    """See the module.

    Args:
        encode: returns the item for a payload and its content type; raises `InvalidPayload`.
        max_text: bytes of the largest JSON text that is queued unchanged; 0: all payloads
            must be encoded.
        max_item: bytes of the largest payload that is queued.
        when_done: called on the worker's thread when it ends because the sender was closed.
    """

    def __init__(
        self,
        track: Track,
        queue: PayloadQueue,
        ledger: Ledger,
        deadline: WorkDeadline,
        gathering: BatchGathering,
        delivery: BatchDelivery,
        capacity: QueueCapacity,
        recount: Recount,
        *,
        encode: Callable[[object, object], Item],
        max_text: int,
        max_item: int,
        clock: Callable[[], float],
        start_thread: Callable[[Callable[[], None], str], bool],
        when_done: Callable[[], None],
    ) -> None:
        self.track = track
        self.ledger = ledger
        self._encode = encode
        self._max_text = max_text
        self._max_item = max_item
        self._flood = track in FLOODS
        self._capacity = capacity
        self._add_items = capacity.add_items
        self._add_bytes = capacity.add_bytes
        self._queue = queue
        self._deadline = deadline
        self._gathering = gathering
        self._delivery = delivery
        self._recount = recount
        self._clock = clock
        self._start_thread = start_thread
        self._when_done = when_done
        # Held by the one thread that does the work, from start to end, and taken by that thread
        # itself. Re-entrant, since the release of such a lock fails on a thread that does not
        # hold it: so it can be in a `finally`, whatever was interrupted before.
        self._at_work = threading.RLock()
        #: That thread's ident; written by that thread.
        self._at_work_ident: int | None = None
        #: No attempt to start a thread is made before this time (seconds of the clock).
        self._no_thread_before = -math.inf
        #: After a kill: when the next thread may start to work.
        self._rests_until = -math.inf
        #: Until then no other thread is started, since one was started and has not begun to run.
        self._begins_by = -math.inf

    # ---- called by any thread ----

    def put(self, payload: object, content_type: object) -> None:
        """Queue a payload, or raise `EnqueueRejected`.

        This is the host's whole cost of a payload, so it makes no unnecessary calls. It takes
        no lock, and calls only C functions between counting the payload and putting it.
        """
        size = len(payload) if type(payload) is bytes else 0
        if 1 < size <= self._max_text and CLOSING[payload[0]] == payload[-1]:  # type: ignore[index]
            item: Item = payload  # type: ignore[assignment]
        else:
            item = self._encoded(payload, content_type)
            size = len(item)
        queue = self._queue
        wake = queue.wake_threshold
        wake_items, wake_size = wake
        items = self._add_items(1, STEP)
        held = self._add_bytes(size, STEP)
        if not self._flood:
            self._capacity.add_steady(size)
        near = items > wake_items or held > wake_size
        if near and self._capacity.exceeded(flood=self._flood):
            self._capacity.release(1, size, flood=self._flood)
            raise EnqueueRejected("queue_full", "the queue is full")
        queue.put(item)
        if near or queue.wake_threshold is not wake:
            try:
                if queue.wants_wake():
                    self.ensure_running()
            except (RecursionError, MemoryError):
                pass  # it is in the queue; the next put will wake the worker

    def _encoded(self, payload: object, content_type: object) -> Item:
        # Before anything is copied or encoded.
        if min_size(payload) > self._max_item:
            raise EnqueueRejected("too_large", f"more than {self._max_item} bytes")
        try:
            item = self._encode(payload, content_type)
        except InvalidPayload as error:
            raise EnqueueRejected("invalid", str(error)) from None
        if len(item) > self._max_item:
            raise EnqueueRejected("too_large", f"{len(item)} bytes of at most {self._max_item}")
        if self._deadline.closing:  # while a large object was being encoded
            raise EnqueueRejected("closed", "the sender was closed")
        return item

    def ensure_running(self) -> bool:
        """Wake the worker's thread, or start one; False if no thread can be started."""
        if self._at_work_ident is not None:
            self._queue.wake()
            return True
        if self.ledger.abandoned:
            self.ledger.abandon()
            return True
        now = self._clock()
        if now < self._begins_by:
            return True
        if now < self._no_thread_before:
            return False
        started = False
        try:
            # Set before the start: a running thread sets its own times, and the queue attended.
            self._begins_by = now + _BEGINS_WITHIN
            self._no_thread_before = self._begins_by + _THREAD_AGAIN
            started = self._start_thread(self._run, f"livedebug-{self.track.value}")
        finally:
            if not started:
                self._begins_by = -math.inf
                self._no_thread_before = now + _THREAD_AGAIN
                self._queue.unattended()
        if started:
            self._delivery.reserve_threads()
        return started

    def request_flush(self) -> int:
        """Let no payload that is queued now linger.

        Returns:
            The watermark: the number of payloads enqueued so far.
        """
        watermark = self.ledger.enqueued()
        self._gathering.request_flush(watermark)
        if watermark > self.ledger.state.settled:
            self.ensure_running()
        return watermark

    def wait_until_settled(self, watermark: int, deadline: float, share: float) -> bool:
        """Wait until the first `watermark` payloads are settled, at most until `deadline`.

        If no thread can be started, do the work here, until `share`.
        """
        ledger = self.ledger
        if self._at_work_ident == threading.get_ident():  # `on_drop` calls `flush`
            return ledger.state.settled >= watermark
        settled = ledger.watch(watermark)
        try:
            return self._wait_for(settled, watermark, deadline, share)
        finally:
            ledger.unwatch(settled)

    # This loop, and others below, are in separate functions, so that any exception in them
    # reaches the `finally` of their caller: see tests/runtime/test_jumps.py.

    def _wait_for(
        self, event: AutoResetEvent, watermark: int, deadline: float, share: float
    ) -> bool:
        while self.ledger.state.settled < watermark:
            left = deadline - self._clock()
            if left <= 0:
                return False
            if self.ensure_running():
                event.wait(min(left, _LOOK_AGAIN))
            elif not self._work_here(watermark, share):
                return self.ledger.state.settled >= watermark
        return True

    def close_by(self, deadline: float) -> None:
        """Send queued payloads until `deadline`, then let the thread end."""
        self._deadline.close_by(deadline)
        self.request_flush()
        self._queue.wake()

    def abandon(self) -> None:
        """Count the remaining payloads as lost in the shutdown, and abort the current request."""
        self.ledger.abandon()
        self._queue.wake()
        self._delivery.abort()

    def join(self, timeout: float) -> None:
        """Wait for the track's thread to end."""
        if self._at_work_ident == threading.get_ident():
            return
        release = self._at_work.release
        try:
            self._at_work.acquire(timeout=max(0.0, min(timeout, threading.TIMEOUT_MAX)))
        finally:
            try:
                release()
            except RuntimeError as error:  # not held by this thread
                reraise_of_signal_handler(error)
        # A concurrent `put` may still queue a payload. It is abandoned by that `put`, which now
        # finds the queue unattended, or here.
        self._queue.unattended()
        self.ledger.abandon()

    # ---- the work ----

    def _run(self) -> None:
        """The body of the track's own thread."""
        killed = True
        try:
            # With a wait, since the thread that does the work may be about to stop.
            if not self._at_work.acquire(timeout=_THREAD_AGAIN):
                killed = False
                return
            self._at_work_ident = threading.get_ident()
            self._begins_by = self._no_thread_before = -math.inf
            self._queue.attended()
            # This thread waits, not the killed one in its cleanup, which may be killed again.
            rest = self._rests_until - self._clock()
            self._rests_until = self._clock() + max(0.0, rest) + _THREAD_AGAIN
            self._queue.sleep(rest)
            self.ledger.report_left_over()
            self._work()
            self._delivery.close()
            killed = False
        finally:
            if not killed:
                self._rests_until = -math.inf
            self._leave_for_good()
        self._when_done()

    def _leave_for_good(self) -> None:
        any(self._leave() for _ in range(_STRIKES))

    def _leave(self) -> bool:
        """Release the work; False if this thread was killed again during that.

        The exception may be raised repeatedly until the thread has ended.
        """
        try:
            if self._at_work_ident == threading.get_ident():
                self._at_work_ident = None
            try:
                self._at_work.release()
            except RuntimeError:  # not held by this thread (any more)
                pass
            self._restart_if_pending()
        except BaseException:
            return False
        return True

    def _work(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Gather a batch and deliver it; False when the track is closed and done."""
        self._delivery.run()
        if not self._queue and not self.ledger.state.in_flight:
            self._recount.run()
        self._gathering.run(wait=not self._deadline.closing)
        self._delivery.run()
        state, pending = self.ledger.look()
        return not state.abandoned and bool(pending or not self._deadline.closing)

    def _work_here(self, watermark: int, until: float) -> bool:
        """Do the worker's work on the calling thread; False when the time is over."""
        ledger = self.ledger
        mine, release = False, self._at_work.release
        try:
            if not self._at_work.acquire(blocking=False):
                return True
            mine = True
            self._at_work_ident = threading.get_ident()
            self._deadline.borrowed_until = until
            ledger.report_left_over()
            if not self._work_until(watermark, until):
                return False
            self._recount.run()
        except OutOfTime:
            return False
        finally:
            # No call before the release, after which a signal handler could raise.
            if mine:
                self._at_work_ident = None
                self._deadline.borrowed_until = None
                self._queue.wake_threshold = UNATTENDED
            try:
                release()
            except RuntimeError as error:  # not held by this thread
                reraise_of_signal_handler(error)
            self._restart_if_pending()
        return True

    def _work_until(self, watermark: int, until: float) -> bool:
        while self.ledger.state.settled < watermark and not self.ledger.abandoned:
            if self._clock() >= until:
                return False
            self._delivery.run()
            self._gathering.run(wait=False)
            self._delivery.run()
        return True

    def _restart_if_pending(self) -> None:
        """Mark the queue unattended, and start another thread if payloads are left."""
        if self._at_work_ident is not None:
            return
        self._queue.unattended()
        _, pending = self.ledger.look()
        if pending:
            self.ensure_running()  # put while this thread was ending, or left by a killed one
