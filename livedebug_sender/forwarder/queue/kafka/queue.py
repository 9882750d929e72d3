"""A `RequestQueue` in a Kafka topic."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import MappingProxyType

from ....runtime.log_limiter import LogLimiter
from ..age import AgeClock
from ..request_queue import PutCallback, QueueOptions, QueueStats, QueueUnavailable, Taken
from ..stored_request import DamagedRecord, StoredRequest, decode, encode
from .clients import kafka_place
from .consumer import GroupConsumer
from .lag import TopicLag
from .partition import Entry
from .producer import RecordProducer
from .reader import RecordReader
from .ready import ReadyRequests
from .records import Record, raw_records, records_of, value_limit
from .spreading import by_route
from .topic import checked_topics

#: Seconds until a failed attempt to read a request again, or to bury it, is repeated.
_LATER = 2.0
#: An incomplete set of pieces is given up after this many put timeouts.
_ABANDON_AFTER = 6
#: The producer's share of the time to close.
_PRODUCER_SHARE = 0.6


class KafkaQueue:
    """A queue in a topic that any number of processes may share.

    It connects to check the topic when it is created, in a put, and in the first `take`, with
    which it joins the group. After one of these, a fork of the process can use neither.

    Raises:
        ConfigError: no broker answers, or the topic is not durable enough.
    """

    durable = True

    def __init__(self, url: str, options: QueueOptions) -> None:
        place = self._place = kafka_place(url, options.kafka_config)
        self._options = options
        self._ages = AgeClock()
        waiting, dead = checked_topics(place, options)
        self._limit = value_limit(min(waiting.max_message_bytes, dead.max_message_bytes))
        self._partitions = by_route(options.routes, waiting.partitions)
        self._problems = LogLimiter()
        self._producer = RecordProducer(place, self._limit, options.put_timeout, self._problems)
        self._reader = RecordReader(place)
        self._lag = TopicLag(place, place.topic, place.group, waiting.partitions)
        self._dead_lag = TopicLag(place, place.dead_topic, place.dead_group, dead.partitions)
        # Protects everything below, the partitions and their entries. Held only briefly.
        self._lock = threading.Lock()
        self._ready = ReadyRequests(options.routes, self._lock)
        self._consumer = GroupConsumer(
            place,
            self._lock,
            self._on_entry,
            self._ready.drop_revoked,
            self._set_aside_again,
            _ABANDON_AFTER * options.put_timeout,
            self._problems,
        )
        self._taking = False
        self._closed = False
        self._redelivered = 0
        self._expired = 0
        self._set_aside = 0
        #: Entries that could not be set aside yet.
        self._damaged: list[Entry] = []
        self._dead: Counter[str] = Counter()

    def put(self, request: StoredRequest) -> None:
        records = records_of(request, self._limit)
        self._producer.put(self._place.topic, self._partitions[request.route], records)

    def put_async(self, request: StoredRequest, callback: PutCallback) -> None:
        records = records_of(request, self._limit)
        partitions = self._partitions[request.route]
        self._producer.put_async(self._place.topic, partitions, records, callback)

    def take(self, route: str, timeout: float | None = None) -> Taken | None:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                entry = self._wait_for_one(route, until)
                if entry is None:
                    return None
                request = entry.partition.take(entry)
            request = request or self._read_again(entry)
            if request is not None:
                return Taken(request, entry, entry.redeliveries)

    def acknowledge(self, taken: Taken) -> None:
        entry = _entry_of(taken)
        with self._lock:
            if entry.taken:
                entry.taken = False
                entry.partition.settle(entry)

    def release(self, taken: Taken, delay: float = 0.0) -> None:
        """Its body is not kept in memory, but read again when it is taken again."""
        entry = _entry_of(taken)
        with self._lock:
            if entry.taken:
                entry.redeliveries += 1
                self._put_back(entry, delay)

    def bury(self, taken: Taken, reason: str) -> None:
        entry = _entry_of(taken)
        with self._lock:
            if not entry.taken:
                return
            entry.taken = False
        self._to_the_dead(entry, records_of(taken.request, self._limit, reason), reason)

    def is_too_old(self, taken: Taken) -> bool:
        return self._ages.is_older(taken.request.received_at, self._options.max_age)

    def stats(self) -> QueueStats:
        """Items are those of this process's partitions, or of the whole topic if it has taken
        nothing yet, as the brokers reported them a moment ago. Bytes and the oldest age are those
        of the requests that it has read ahead or taken.
        """
        self._lag.refresh()
        self._dead_lag.refresh()
        producer = self._producer
        with self._lock:
            own = list(self._consumer.partitions())
            entries = [entry for one in own for entry in one.entries.values()]
            if self._taking:
                items = sum(one.waiting(self._lag.end(one.number)) for one in own)
            else:
                items = self._lag.waiting()
            ages = [self._ages.age(entry.received_at) for entry in entries if entry.route]
            return QueueStats(
                items=items,
                bytes=sum(entry.size for entry in entries),
                limit=0,
                fullness=0.0,
                oldest_age=max(0.0, *ages) if ages else None,
                commits=producer.confirmed,
                commit_seconds=producer.confirm_seconds,
                redelivered=self._redelivered,
                expired=self._expired + self._consumer.deleted,
                dead=MappingProxyType(dict(self._dead)),
                dead_items=self._dead_lag.waiting(),
                set_aside=self._set_aside,
                errors=producer.errors + self._consumer.errors,
            )

    def close(self, timeout: float) -> int:
        until = time.monotonic() + timeout
        with self._lock:
            if self._closed:
                return 0
            self._closed = True
            self._ready.wake_all()
        # First the dead letters in flight, which are then done.
        self._producer.close(timeout * _PRODUCER_SHARE)
        if self._taking:
            self._consumer.close(max(0.1, until - time.monotonic()))
        for one in (self._reader, self._lag, self._dead_lag):
            one.close()
        self._problems.report(final=True)
        return 0

    def _wait_for_one(self, route: str, until: float | None) -> Entry | None:
        """The next request that is not too old; the caller holds the lock."""
        while not self._closed:
            # If no thread can be started now, this is tried again.
            self._taking = self._taking or self._consumer.start()
            entry = self._ready.next(route)
            if entry is not None:
                if not self._ages.is_older(entry.received_at, self._options.max_age):
                    self._redelivered += entry.redeliveries > 0
                    return entry
                self._expired += 1
                entry.partition.take(entry)
                entry.partition.settle(entry)
                continue
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return None
            longest = None if self._taking else _LATER
            waits = [one for one in (left, longest) if one is not None]
            self._ready.wait(route, min(waits, default=None))
        return None

    def _on_entry(self, entry: Entry) -> None:
        """Called by the consumer for each request that it reads."""
        with self._lock:
            if entry.damaged is None and entry.route in self._ready:
                self._ready.add(entry)
                return
            if entry.damaged is None:
                request = entry.partition.take(entry)
                # If it was too large to be kept in memory, it stays in the topic until retention.
                entry.damaged = encode(request) if request else None
                entry.damage = f"no route {entry.route:.80}"
            self._set_aside += 1
            words = f"set aside a record of {self._place.topic!r}: {entry.damage}"
        self._problems.note("set aside", words)
        self._set_aside_now(entry)

    def _set_aside_now(self, entry: Entry) -> None:
        if entry.damaged is not None:
            records = raw_records(entry.damaged, self._limit, None, entry.damage)
            self._to_the_dead(entry, records)

    def _set_aside_again(self) -> None:
        with self._lock:
            again, self._damaged = self._damaged, []
        for entry in again:
            self._set_aside_now(entry)

    def _read_again(self, entry: Entry) -> StoredRequest | None:
        """Read a request that is not in memory; None: that failed, or it no longer exists."""
        topic, number = self._place.topic, entry.partition.number
        try:
            value = self._reader.value(topic, number, entry.offsets)
        except QueueUnavailable as error:
            self._problems.note("kafka read", str(error))
            self._problems.report()
            with self._lock:
                self._put_back(entry, _LATER)
            return None
        try:
            if value is not None:
                return decode(value)
        except DamagedRecord:  # it was intact when it was first read
            pass
        with self._lock:
            entry.partition.settle(entry)
            self._expired += 1
        self._problems.note("kafka gone", "Kafka deleted a request before it was delivered")
        self._problems.report()
        return None

    def _put_back(self, entry: Entry, delay: float) -> None:
        entry.taken = False
        if not entry.partition.revoked:
            self._ready.add_later(entry, delay)

    def _to_the_dead(self, entry: Entry, records: list[Record], reason: str = "") -> None:
        """Write it to the dead letters; it is done once the brokers have confirmed that."""

        def settle(confirmed: bool) -> None:
            with self._lock:
                if confirmed:
                    entry.partition.settle(entry)
                    self._dead.update([reason] if reason else [])
                elif entry.damaged is not None:
                    self._damaged.append(entry)
                else:
                    self._put_back(entry, _LATER)

        try:
            self._producer.send(self._place.dead_topic, 0, records, settle)
        except QueueUnavailable:
            settle(False)


def _entry_of(taken: Taken) -> Entry:
    entry = taken.handle
    assert isinstance(entry, Entry)
    return entry
