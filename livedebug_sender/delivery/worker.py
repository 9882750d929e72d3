"""One track's way through the sender: its queue, its worker, its batches.

Each track has a lane of its own, so that one track's trouble never holds up another's.
A lane is worked on by one thread at a time: by its own, started with the first payload,
or, where no thread can be had, by the caller of `flush` or `close`.
"""

from __future__ import annotations

import math
import threading
from typing import cast

from ..errors import EnqueueRejected, InvalidPayload
from ..protocol.payload import (
    CLOSING,
    Item,
    Upload,
    check_content_type,
    encode_body,
    encode_payload,
)
from ..protocol.pruning import prune
from ..protocol.tracks import Track
from ..runtime.atomic import STEP
from ..runtime.threads import ThreadStart, begin_thread
from .accounting import LaneBooks
from .batch import Batch
from .capacity import FLOODS, ITEM, PASSED
from .context import Context
from .payload_queue import PayloadQueue
from .primary import OutOfTime, Primary

#: Seconds between two tries to start a thread where none could be started.
_THREAD_AGAIN = 1.0
#: Seconds after which a thread that has not begun is given up.
_BEGINS_WITHIN = 2.0
#: Seconds after which a waiting `flush` looks whether somebody is still at work.
_LOOK_AGAIN = 0.25


class Lane:
    def __init__(self, track: Track, context: Context) -> None:
        self.track = track
        self.flood = track in FLOODS
        fits = context.room.largest(self.flood)
        #: Bytes of the largest payload that may be put here.
        self.max_payload = (
            fits if track is Track.SYMDB else min(fits, context.options.max_payload_bytes)
        )
        #: Are larger ones taken, to be cut down to it?
        self._prunes = track is Track.SNAPSHOTS and context.options.oversize == "prune"
        self._max_taken = fits if self._prunes else self.max_payload
        # Of JSON text; a SymDB body is none, and goes the longer way.
        self._max_text = 0 if track is Track.SYMDB else self._max_taken
        self._count = context.room.counters[self.flood].add
        self._others = context.room.counters[not self.flood].read
        self.queue = PayloadQueue(context.room, flood=self.flood)
        self.books = LaneBooks(self.queue.qsize)
        self._context = context
        self._clock = context.clock
        self._merges = track is not Track.SYMDB
        self._primary = Primary(
            track,
            context,
            self.books,
            pause=self._pause,
            deadline=self._deadline,
            is_over=lambda: self.over,
            last_call=lambda: self._shutdown_at if self._closing else None,
        )
        # Held by the one thread that works on this lane, from its start to its end.
        self._driver = threading.Lock()
        self._gathered: list[Item] = []
        self._gathered_bytes = 0
        self._no_thread_before = -math.inf
        # Written by one thread, read by another; each is one assignment.
        self._hurried_to = 0
        self._closing = False
        self._shutdown_at = math.inf
        self._had_last_call = False
        self._drive_until: float | None = None
        #: The lane's own thread, while it has one.
        self._worker: int | None = None
        self._start: ThreadStart | None = None
        self._begins_by = -math.inf
        #: What is left was counted as lost: nothing counts any more.
        self.over = False

    # ---- called by anybody ----

    def offer(self, payload: object, content_type: object) -> None:
        """Queue a payload, or raise `EnqueueRejected`.

        All a host pays for a payload is here, so nothing is called that need not be.
        """
        size = len(payload) if type(payload) is bytes else 0
        if 1 < size <= self._max_text and CLOSING[payload[0]] == payload[-1]:  # type: ignore[index]
            item: Item = payload  # type: ignore[assignment]
        else:
            item = self._encoded(payload, content_type)
            size = len(item)
        queue = self.queue
        alarm = queue.alarm
        mine = 0
        try:
            # Counted first and checked then: of two at once that would fit only singly,
            # both may be turned away, but never both be let in.
            mine = self._count(ITEM + size, STEP)
            near = (mine + self._others() + alarm) & PASSED
            if near and self._context.room.full():
                raise EnqueueRejected("queue_full", "the queue is full")
            queue.append(item)
        except BaseException:  # refused, or a signal handler raised in the middle
            if mine:
                self._count(-ITEM - size, STEP)
            raise
        if near or queue.alarm is not alarm:
            self._ring_if_wanted()

    def _ring_if_wanted(self) -> None:
        try:
            if self.queue.wanted():
                self.rouse()
        except Exception:  # a signal handler's: the payload is in, somebody else will ring
            pass

    def _encoded(self, payload: object, content_type: object) -> Item:
        try:
            if isinstance(payload, Upload):  # of an engine that carries something else
                item: Item = payload
            elif self._merges:
                item = encode_payload(payload)
            else:
                item = Upload(encode_body(payload), check_content_type(content_type))
        except InvalidPayload as error:
            raise EnqueueRejected("invalid", str(error)) from None
        if len(item) > self._max_taken:
            raise EnqueueRejected("too_large", f"{len(item)} bytes of at most {self._max_taken}")
        if self._closing:  # while a large object was being encoded
            raise EnqueueRejected("closed", "the sender was closed")
        return item

    def rouse(self) -> bool:
        """See to it that somebody works here; False if only the caller could."""
        mine = started = False
        try:
            mine = self._driver.acquire(blocking=False) or self._given_up()
            if not mine:
                self.queue.ring()
                return True
            if self.over:
                self._sweep()
                return True
            if self._clock() >= self._no_thread_before:
                self.queue.attended()
                self._begins_by = self._clock() + _BEGINS_WITHIN
                self._start = begin_thread(self._run, f"livedebug-{self.track.value}")
                started = self._start is not None
                if not started:
                    self._no_thread_before = self._clock() + _THREAD_AGAIN
        finally:
            if mine and not started:
                self.queue.unattended()
                self._driver.release()
        return started

    def _given_up(self) -> bool:
        """Is a thread called off that was started and does not come? Then its lock is ours."""
        late = self._start is not None and self._clock() >= self._begins_by
        if not (late and self._start is not None and self._start.call_off()):
            return False
        self._no_thread_before = self._clock() + _THREAD_AGAIN
        return True

    def hurry(self) -> int:
        """Let nothing that is here now wait for company; the mark up to which that is."""
        mark = self.books.enqueued()
        self._hurried_to = max(self._hurried_to, mark)
        if mark > self.books.settled:
            self.rouse()
        return mark

    def wait_for(self, mark: int, deadline: float, share: float) -> bool:
        """Wait until the first `mark` payloads are settled, at most until `deadline`.

        Where no thread can be had, do the work here, until `share`.
        """
        if self._worker == threading.get_ident():  # `on_drop` waits for what called it
            return self.books.settled >= mark
        bell = self.books.watch(mark)
        try:
            while not bell.acquire(blocking=False):
                left = deadline - self._clock()
                if left <= 0:
                    return False
                if self.rouse():
                    if bell.acquire(timeout=min(left, _LOOK_AGAIN)):
                        return True
                elif not self._drive(mark, share):
                    return self.books.settled >= mark
            return True
        finally:
            self.books.unwatch(bell)

    def close_by(self, deadline: float) -> None:
        """Take the lane down: what is here is sent, then its thread ends."""
        self._shutdown_at = min(deadline, self._shutdown_at)
        self._closing = True
        self.hurry()
        self.queue.ring()

    def abandon(self) -> None:
        """Count what is left as lost in the shutdown, and let go of it."""
        self._sweep()
        self.queue.ring()
        self._primary.abort()

    def join(self, timeout: float) -> None:
        """Wait for the lane's thread to end."""
        mine = self._worker == threading.get_ident()
        if not mine and self._driver.acquire(timeout=max(0.0, timeout)):
            # From here on, who puts rouses; and nobody need for what was put before.
            self.queue.unattended()
            self._sweep()
            self._driver.release()

    # ---- the worker ----

    def _run(self) -> None:
        # Should this thread be killed, another one goes on, but not in a tight circle.
        self._no_thread_before = self._clock() + _THREAD_AGAIN
        self._worker = threading.get_ident()
        killed = True
        try:
            while self._step():
                pass
            self._primary.close()
            self._context.lane_ended()
            killed = False
        finally:
            self._worker = None
            if killed:
                self.queue.sleep(self._no_thread_before - self._clock())
            self._leave()

    def _step(self) -> bool:
        """Gather a batch and deliver it; False when the lane is done for good."""
        self._primary.resume()
        self._gather(wait=not self._closing)
        if self._gathered:
            self._deliver()
        self._context.problems.report()
        return not self.over and not (self._closing and self.queue.empty())

    def _drive(self, mark: int, until: float) -> bool:
        """Do the worker's work on the calling thread; False when the time is over."""
        if not self._driver.acquire(blocking=False):
            return True
        self._drive_until = until
        try:
            while self.books.settled < mark and not self.over:
                if self._clock() >= until:
                    return False
                self._primary.resume()
                self._gather(wait=False)
                if self._gathered:
                    self._deliver()
        except OutOfTime:
            return False
        finally:
            self._drive_until = None
            self._leave()
        return True

    def _deliver(self) -> None:
        if self._prunes:
            self._prune()
        if not self._gathered:
            return
        batch = Batch(self._gathered, self._gathered_bytes)
        self._primary.parts.append(batch)
        self._gathered, self._gathered_bytes = [], 0
        self._primary.resume()

    def _prune(self) -> None:
        """Cut what is too large in the batch; what can't be cut is rejected."""
        too_large = 0
        for item in [item for item in self._gathered if len(item) > self.max_payload]:
            pruned = prune(cast("bytes", item), self.max_payload)
            saved = len(item) - len(pruned or b"")
            with self.books as books:
                if self.over:
                    return
                at = next(n for n, one in enumerate(self._gathered) if one is item)
                self._gathered[at : at + 1] = [] if pruned is None else [pruned]
                self._gathered_bytes -= saved
                self._context.room.give_back(int(pruned is None), saved, self.flood)
                books.in_hand_bytes -= saved
                if pruned is None:
                    books.resolve(1, 0, "rejected")
                    too_large += 1
        if too_large:
            detail = f"more than {self.max_payload} bytes, though pruned"
            self._context.drops.tell(self.track.value, "rejected", too_large, detail)
            self.books.settle(too_large)

    def _leave(self) -> None:
        self.queue.unattended()
        self._driver.release()
        if self._gathered or self._primary.parts or not self.queue.empty():
            self.rouse()  # put while we were leaving, or left by a thread that was killed

    # ---- gathering a batch ----

    def _gather(self, *, wait: bool) -> None:
        """Fill a batch: wait for a first payload, then linger for its company."""
        if wait and self.queue.empty() and not self._gathered:
            self.queue.wait_for_first()
        full = self._top_up()
        linger_until = self._clock() + self._context.options.linger
        while wait and self._gathered and not full and not self._in_a_hurry():
            left = linger_until - self._clock()
            if left <= 0:
                return
            options = self._context.options
            self.queue.wait_for_more(
                options.max_batch_items - len(self._gathered),
                options.max_batch_bytes - self._gathered_bytes,
                left,
            )
            full = self._top_up()

    def _top_up(self) -> bool:
        """Move what fits from the queue into the batch; True when no more can come."""
        options = self._context.options
        most = options.max_batch_items if self._merges else 1
        with self.books as books:
            if self.over:
                return True
            count, size = len(self._gathered), self._gathered_bytes
            self._gathered_bytes = self.queue.fill(
                self._gathered, size, most, options.max_batch_bytes
            )
            books.take(len(self._gathered) - count, self._gathered_bytes - size)
        return len(self._gathered) >= most or not self.queue.empty()

    def _in_a_hurry(self) -> bool:
        return (
            self.over
            or self._closing
            or self._hurried_to > self.books.settled
            or self._context.room.crowded()
        )

    # ---- time ----

    def _deadline(self) -> float | None:
        """Until when a request may take, apart from its own timeout."""
        until = min(self._shutdown_at, self._drive_until or math.inf)
        return None if until == math.inf else until

    def _pause(self, seconds: float) -> None:
        """Wait before a retry. A closing sender waits no longer: one last try."""
        end = self._clock() + seconds
        while not self.over:
            now = self._clock()
            if now >= end:
                return
            if self._drive_until is not None and now >= self._drive_until:
                raise OutOfTime
            if self._closing and not self._had_last_call:
                self._had_last_call = True
                return
            self.queue.sleep(min(end, self._drive_until or end) - now)

    def _sweep(self) -> None:
        """Count all that is unresolved as lost in the shutdown."""
        with self.books as books:
            self.over = True
            items: list[Item] = []
            size = self.queue.fill(items, 0, self.queue.qsize(), 1 << 62)
            books.take(len(items), size)
            lost, size = books.in_hand, books.in_hand_bytes
            if lost:
                self._context.room.give_back(lost, size, self.flood)
                books.resolve(lost, size, "shutdown")
        if lost:
            self._context.drops.tell(self.track.value, "shutdown", lost)
            self.books.settle(lost)
