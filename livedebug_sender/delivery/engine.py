"""The part of a sender that belongs to one process.

Queues, counters, locks, threads and connections: everything that a forked child must not
share with its parent. A child creates its own; see `PerProcess`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..errors import EnqueueRejected
from ..options import Options
from ..protocol.endpoint import Endpoint
from ..protocol.tracks import Track
from ..runtime import lazy_import, shutdown
from ..runtime.atomic import STEP
from ..runtime.auto_reset_event import AutoResetEvent
from ..runtime.clock import monotonic
from ..runtime.fork import owned_by_this_process
from ..runtime.host_signals import raised_by_signal_handler
from ..runtime.log_reporter import LogReporter
from ..runtime.threads import start_thread, unjoined_executor
from ..stats import Stats
from ..transport.request_hook import without_faults
from .batch_delivery import BatchDelivery, RequestFactory
from .batch_gathering import BatchGathering
from .capacity import FLOODS, Amount, QueueCapacity
from .downgrade import AgentCapabilities, DowngradableEndpoints
from .drops import DropCounter, DropReporter
from .dual_shipping import ADDITIONAL_SHARE, AdditionalEndpointWorker, DualShipping
from .ledger import Ledger
from .open_tracks import OpenTracks
from .outages import Outages
from .payload_queue import PayloadQueue
from .recount import Recount
from .totals import stats_of
from .work_deadline import WorkDeadline
from .worker import TrackWorker

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ..transport.transport import Transport


class Engine:
    """Accepts payloads, and lets each track's worker deliver them.

    Args:
        endpoints: where payloads go; may change.
        requests: encodes payloads and builds requests.
        options: the limits, times and callbacks.
        announce: called with the log, once, when the first payload is enqueued.
        new_transport: creates the transport of one worker, on its thread; by default a
            `Transport`.
        clock, start_thread, new_executor, new_event: the real ones, unless a test simulates
            them.
    """

    def __init__(
        self,
        endpoints: DowngradableEndpoints,
        requests: RequestFactory,
        options: Options,
        *,
        announce: Callable[[LogReporter], None] | None = None,
        new_transport: Callable[[], Transport] | None = None,
        clock: Callable[[], float] = monotonic,
        start_thread: Callable[[Callable[[], None], str], bool] = start_thread,
        new_executor: Callable[[int, str], ThreadPoolExecutor] = unjoined_executor,
        new_event: Callable[[], AutoResetEvent] = AutoResetEvent,
    ) -> None:
        self.owned_by_this_process = owned_by_this_process()
        self.closed = False
        self.log = LogReporter(clock, start_thread)
        self._endpoints = endpoints
        self._requests = requests
        self._options = options
        self._announce = announce
        self._new_transport = new_transport or self._network_transport
        self._clock = clock
        self._start_thread = start_thread
        self._new_executor = new_executor
        self._new_event = new_event
        self._capacity = QueueCapacity(options.max_queue_items, options.max_queue_bytes)
        self._recount = Recount(self._capacity, self._ledgers, TrackWorker.put.__code__)
        self._refused = DropCounter()
        #: Counts refused payloads as ``invalid``, in a call that needs no Python stack.
        self.count_invalid = self._refused.adder("invalid")
        #: Counts those for which even that call is impossible. A plain integer without a lock:
        #: with the stack exhausted, only an addition is possible.
        self.invalid_without_stack = 0
        #: Set when an exception passes through `enqueue`: the payload may be counted, but not
        #: queued. An exception from a signal handler may be missed: an idle worker recounts anyway.
        self._was_interrupted = False
        self._drops = DropReporter(options.on_drop, self.log)
        self._capabilities = AgentCapabilities(endpoints, options.recheck_after, self.log, clock)
        self._outages = Outages(self.log, self._count_dropped, clock)
        self._dual_shipping = DualShipping(self._new_additional_worker)
        self._workers = {track: self._new_track_worker(track) for track in Track}
        self._open_tracks = OpenTracks(self._open_track)
        self._retired = False

    # ---- parts ----

    def _new_track_worker(self, track: Track) -> TrackWorker:
        options, flood = self._options, track in FLOODS
        fits = self._capacity.bound_of(flood=flood).size
        max_payload = fits if track is Track.SYMDB else min(fits, options.max_payload_bytes)
        prunes = track is Track.SNAPSHOTS and options.oversize == "prune"
        max_item = fits if prunes else max_payload
        queue = PayloadQueue(self._capacity, self._new_event(), flood=flood)
        ledger = Ledger(track, queue, self._capacity, self._drops)
        deadline = WorkDeadline(queue, ledger, self._clock)
        gathering = BatchGathering(
            track,
            options,
            queue,
            ledger,
            self._capacity,
            deadline,
            self._clock,
            prune_to=max_payload if prunes else None,
        )
        delivery = BatchDelivery(
            track,
            ledger,
            deadline,
            endpoints=self._endpoints,
            requests=self._requests,
            new_transport=self._new_transport,
            retry_for=options.retry_for,
            capabilities=self._capabilities,
            dual_shipping=self._dual_shipping,
            outages=self._outages,
            log=self.log,
            clock=self._clock,
        )
        return TrackWorker(
            track,
            queue,
            ledger,
            deadline,
            gathering,
            delivery,
            self._capacity,
            self._recount,
            encode=partial(self._requests.item, track),
            max_text=0 if track is Track.SYMDB else max_item,
            max_item=max_item,
            clock=self._clock,
            start_thread=self._start_thread,
            when_done=self._end_if_done,
        )

    def _new_additional_worker(self, endpoint: Endpoint) -> AdditionalEndpointWorker:
        return AdditionalEndpointWorker(
            endpoint,
            max(1, self._options.max_queue_items // ADDITIONAL_SHARE),
            self._options.max_queue_bytes // ADDITIONAL_SHARE,
            self._new_transport,
            self.log,
            self._clock,
            new_executor=self._new_executor,
            start_thread=self._start_thread,
            when_idle=self._end_if_done,
        )

    def _network_transport(self) -> Transport:
        hook = self._options.around_request
        around = None if hook is None else without_faults(hook, self.log)
        transport: type[Transport] = lazy_import.load(
            "livedebug_sender.transport.transport", "Transport"
        )
        return transport(self._options.session_factory, around)

    # ---- enqueue ----

    def enqueue(self, track: object, payload: object, content_type: object) -> bool:
        """Queue a payload. If it is refused, count the reason and return False."""
        try:
            self._open_tracks[track].put(payload, content_type)
        except EnqueueRejected as rejected:
            if rejected.reason == "queue_full" and self._was_interrupted:
                self._was_interrupted = False
                if self._recount.run():
                    return self.enqueue(track, payload, content_type)
            return self._refuse(track, rejected.reason, rejected.detail)
        except BaseException as error:  # from a hostile track or payload, out of memory, ...
            self._was_interrupted = True
            if _is_of_the_host(error):
                raise
            self.count_invalid(1, STEP)
            try:
                self._report_refusal(track, "invalid", type(error).__name__)
            except RecursionError:  # no stack is left for the call; it is counted
                pass
            return False
        return True

    def _open_track(self, track: object) -> TrackWorker:
        """The worker of a track that accepts payloads, else `EnqueueRejected`; announces once."""
        if self.closed:
            raise EnqueueRejected("closed", "the sender was closed")
        worker: TrackWorker | None = self._workers.get(track)  # type: ignore[call-overload]
        if worker is None:
            raise EnqueueRejected("invalid", "no such track")
        if not self._endpoints.endpoints_for(worker.track):
            raise EnqueueRejected("invalid", "no endpoint is set for this track")
        announce, self._announce = self._announce, None
        if announce is not None:
            announce(self.log)
        return worker

    def _refuse(self, track: object, reason: str, detail: str) -> bool:
        self._refused.count(reason)
        try:
            self._report_refusal(track, reason, detail)
        except RecursionError:  # no frame is left for the call; it is counted
            pass
        return False

    def _report_refusal(self, track: object, reason: str, detail: str) -> None:
        try:
            self._drops.report(_name(track), reason, 1, detail)
        except BaseException as error:  # out of memory or stack
            if _is_of_the_host(error):
                raise

    # ---- flush and close ----

    def flush(self, timeout: float) -> bool:
        """See `Sender.flush`."""
        done = self._wait_for_tracks(self._clock() + timeout)
        if not self._count_pending():
            self._recount.run()
        self.log.report()
        return done

    def close(self, timeout: float) -> bool:
        """See `Sender.close`."""
        return self.finish_close(self.begin_close(timeout))

    def begin_close(self, timeout: float | None = None) -> float:
        """Accept no more payloads, and start to send the queued ones, without waiting.

        Args:
            timeout: seconds until `finish_close` gives up; None means `shutdown_timeout`.

        Returns:
            The deadline (seconds of the clock) for `finish_close`.
        """
        timeout = self._options.shutdown_timeout if timeout is None else timeout
        deadline = self._clock() + timeout
        self._shut()
        for worker in self._workers.values():
            worker.close_by(deadline)
        return deadline

    def finish_close(self, deadline: float) -> bool:
        """Wait until what `begin_close` started is done, or its deadline."""
        self._wait_for_tracks(deadline)
        for worker in self._workers.values():
            worker.abandon()
        self._dual_shipping.close(deadline, self._clock)
        for worker in self._workers.values():
            worker.join(deadline - self._clock())
        self.log.close()
        shutdown.unregister(self)
        return not self.stats().dropped["shutdown"]

    def retire(self) -> None:
        """The `Sender` was garbage-collected: deliver its queue as usual, then end."""
        self._retired = True
        self._shut()
        for worker in self._workers.values():
            worker.close_by(math.inf)
        self._end_if_done()

    def _end_if_done(self) -> None:
        """End a retired engine once nothing is left; until then, the exit would close it."""
        if self._retired and not self._count_pending() and self._dual_shipping.is_idle:
            self._dual_shipping.close(self._clock(), self._clock)
            self.log.close()
            shutdown.unregister(self)

    def _shut(self) -> None:
        self.closed = True
        self._open_tracks.clear()

    def _wait_for_tracks(self, deadline: float) -> bool:
        workers = list(self._workers.values())
        watermarks = [worker.request_flush() for worker in workers]
        done = True
        for n, (worker, watermark) in enumerate(zip(workers, watermarks, strict=True)):
            # If no thread can be started, the tracks are processed here, one after the other:
            # each gets an equal share of the remaining time.
            now = self._clock()
            share = now + (deadline - now) / (len(workers) - n)
            done = worker.wait_until_settled(watermark, deadline, share) and done
        return done

    # ---- stats ----

    def held(self) -> Amount:
        """The amount that counts towards the limits of the queue."""
        return self._capacity.held()

    def stats(self) -> Stats:
        """See `Sender.stats`."""
        refused = self._refused.read()
        if self.invalid_without_stack:
            refused["invalid"] += self.invalid_without_stack
        return stats_of(
            refused,
            [worker.ledger for worker in self._workers.values()],
            self._capacity.held().size,
            self._dual_shipping.counts(),
        )

    def _ledgers(self) -> list[tuple[Ledger, bool]]:
        return [(worker.ledger, track in FLOODS) for track, worker in self._workers.items()]

    def _count_pending(self) -> int:
        return sum(worker.ledger.look()[1] for worker in self._workers.values())

    def _count_dropped(self) -> int:
        lost = [worker.ledger.state.lost.values() for worker in self._workers.values()]
        return self._refused.read().total() + sum(map(sum, lost))


def _is_of_the_host(error: BaseException) -> bool:
    try:
        return isinstance(error, KeyboardInterrupt) or raised_by_signal_handler(error)
    except RecursionError:  # no stack is left to find out
        return False


def _name(track: object) -> str:
    try:
        return str.__getitem__(track, slice(40)) if isinstance(track, str) else f"{track!r:.40}"
    except BaseException as error:  # a hostile repr
        if _is_of_the_host(error):
            raise
        return type(track).__name__
