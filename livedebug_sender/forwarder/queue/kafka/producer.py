"""Writes records, and tells when the brokers have confirmed them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka as kafka

from ....runtime.log_limiter import LogLimiter
from ....runtime.threads import start_thread
from ..confirmation import Confirmation
from ..request_queue import (
    PUT_MARGIN,
    RETRY_AFTER,
    PutCallback,
    QueueUnavailable,
    shutting_down,
)
from .clients import KafkaPlace, make, producer_settings
from .records import OVERHEAD, Record

#: Seconds between puts that probe the brokers while none confirm.
_PROBE_EVERY = 1.0
#: Seconds for which a partition that did not confirm is avoided while others do.
_RETRY_PARTITION = 10.0

#: Called with whether all records of a call were confirmed; on the producer's thread, or on the
#: calling one if some can't be written.
Confirmed = Callable[[bool], None]

# The monotonic clock stops while the machine is suspended; the brokers continue.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class RecordProducer:
    """An idempotent producer that waits for all in-sync replicas; for any number of threads.

    Args:
        limit: the largest value of a record, in bytes.
        timeout: seconds to wait for the brokers' confirmation.
    """

    def __init__(self, place: KafkaPlace, limit: int, timeout: float, problems: LogLimiter) -> None:
        self._place = place
        self._problems = problems
        self._timeout = timeout
        self._settings = {
            **producer_settings(place, timeout, limit + OVERHEAD),
            "error_cb": self._on_error,
        }
        self._turns = itertools.count()
        # Protects the attributes below.
        self._lock = threading.Lock()
        self._client: Any = None
        self._closed = False
        self._broken = False
        #: For partitions that did not confirm: when a put may try them again.
        self._unconfirmed: dict[int, float] = {}
        #: When a put may try again if none of its partitions confirms.
        self._next_probe = 0.0
        self.confirmed = 0
        self.confirm_seconds = 0.0
        self.errors = 0

    def put(self, topic: str, partitions: Sequence[int], records: Sequence[Record]) -> None:
        """As `put_async`; return once the brokers have confirmed the records.

        Raises:
            QueueUnavailable: they may have been written nevertheless.
        """
        confirmation = Confirmation()
        self.put_async(topic, partitions, records, confirmation)
        confirmation.wait(self._timeout + PUT_MARGIN)

    def put_async(
        self,
        topic: str,
        partitions: Sequence[int],
        records: Sequence[Record],
        callback: PutCallback,
    ) -> None:
        """Write records, in this order, to one of the partitions.

        A partition that did not confirm is avoided for a while if others do. If none does, one
        put per second tries, and all others are refused at once: waiting would only delay the
        answers to tracers.
        """
        begun = time.clock_gettime(_CLOCK)
        try:
            partition = self._choose(partitions, begun)
            self.send(
                topic,
                partition,
                records,
                lambda confirmed: self._note_outcome(partition, begun, confirmed, callback),
            )
        except QueueUnavailable as refused:
            callback(refused)

    def _note_outcome(
        self, partition: int, begun: float, confirmed: bool, callback: PutCallback
    ) -> None:
        now = time.clock_gettime(_CLOCK)
        # After a long suspend the pieces may be too far apart to be joined: the consumer waits
        # longer than that for the last of them (`abandon_after`).
        confirmed = confirmed and now - begun <= 2 * self._timeout
        with self._lock:
            if confirmed:
                if partition in self._unconfirmed:
                    self._unconfirmed.clear()
                self.confirmed += 1
                self.confirm_seconds += now - begun
            else:
                self.errors += 1
                self._unconfirmed[partition] = now + _RETRY_PARTITION
                self._next_probe = now + _PROBE_EVERY
        callback(None if confirmed else self._unavailable())

    def _choose(self, partitions: Sequence[int], now: float) -> int:
        turn = next(self._turns)
        with self._lock:
            for n in range(len(partitions)):
                partition = partitions[(turn + n) % len(partitions)]
                due = self._unconfirmed.get(partition)
                if due is None:
                    return partition
                if now >= due:
                    self._unconfirmed[partition] = now + self._timeout + _RETRY_PARTITION
                    return partition
            if now < self._next_probe:
                raise self._unavailable()
            self._next_probe = now + self._timeout + _PROBE_EVERY
            return partitions[turn % len(partitions)]

    def send(
        self, topic: str, partition: int, records: Sequence[Record], on_outcome: Confirmed
    ) -> None:
        """Write records, in this order; `on_outcome` is called exactly once.

        Raises:
            QueueUnavailable: `on_outcome` is not called.
        """
        client = self._ready_client()
        left = _Countdown(len(records), on_outcome)
        for number, record in enumerate(records):
            try:
                client.produce(
                    topic,
                    record.value,
                    key=record.key,
                    partition=partition,
                    headers=record.headers,
                    on_delivery=left,
                )
            except (BufferError, kafka.KafkaException, RuntimeError) as error:
                self._note_failure(error)
                if number == 0:
                    raise self._unavailable() from None
                left.fail(len(records) - number)
                return

    def close(self, timeout: float) -> None:
        """Wait for records in flight, and end."""
        with self._lock:
            self._closed = True
            client = self._client
        if client is not None:
            client.flush(timeout)

    def _unavailable(self) -> QueueUnavailable:
        if self._closed:
            return shutting_down()
        words = "Kafka does not confirm that it has the request; try again"
        return QueueUnavailable(words, RETRY_AFTER)

    def _ready_client(self) -> Any:
        with self._lock:
            if self._closed:
                raise shutting_down()
            if self._client is None or self._broken:
                self._client = make(kafka.Producer, self._settings)
                self._broken = False
                client = self._client
                if not start_thread(lambda: self._serve(client), "livedebug-kafka-producer"):
                    self._client = None
                    raise QueueUnavailable("no thread can be started", RETRY_AFTER)
            return self._client

    def _serve(self, client: Any) -> None:
        """Run the callbacks of deliveries, as long as this client is in use."""
        while client is self._client and not (self._closed and not len(client)):
            client.poll(0.5)
        client.flush(self._timeout)

    def _note_failure(self, error: BaseException) -> None:
        cause = error.args[0] if error.args else error
        if isinstance(cause, kafka.KafkaError) and cause.fatal():
            self._broken = True
        self._problems.note("kafka write", f"can't write requests to Kafka: {error}")
        self._problems.report()

    def _on_error(self, error: kafka.KafkaError) -> None:
        """Called by `poll`, on the producer's thread."""
        with self._lock:
            self.errors += 1
            if error.fatal():  # this client is unusable; the next put creates another
                self._broken = True
        self._problems.note("kafka", f"Kafka at {self._place.brokers}: {error.str()}")
        self._problems.report()


class _Countdown:
    """Calls back once all records have an outcome. `produce` and `poll` call it one at a time."""

    def __init__(self, count: int, on_outcome: Confirmed) -> None:
        self._left = count
        self._confirmed = True
        self._on_outcome = on_outcome
        # Protects the two above, which the producer's thread and the sending thread use.
        self._lock = threading.Lock()

    def __call__(self, error: kafka.KafkaError | None, _: object) -> None:
        self._settle(1, error is None)

    def fail(self, count: int) -> None:
        self._settle(count, False)

    def _settle(self, count: int, confirmed: bool) -> None:
        with self._lock:
            self._left -= count
            self._confirmed = self._confirmed and confirmed
            over = not self._left
        if over:
            self._on_outcome(self._confirmed)
