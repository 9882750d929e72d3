"""A member of the consumer group: reads ahead, hands out requests, and commits done ones.

One thread owns the Kafka consumer. It polls all the time, even if no requests are taken
(then the partitions are paused, and nothing is fetched), so that the group does not consider
it dead. Done requests are committed every half second; those of the last half second are
delivered twice after a crash.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka as kafka

from ....runtime.log_limiter import LogLimiter
from ....runtime.threads import start_thread
from ....units import MiB
from .clients import KafkaPlace, consumer_settings, make
from .partition import Entry, Partition

logger = logging.getLogger("livedebug_sender")

#: Bytes of requests that wait here to be taken, in all partitions.
READ_AHEAD = 32 * MiB
#: Bytes of pieces of incomplete requests, in all partitions.
ASSEMBLING = 64 * MiB
#: Maximum requests of a partition that are read but not done, including taken and released ones.
MAX_OPEN = 5000
_COMMIT_EVERY = 0.5
_POLL = 0.2
#: Seconds of a poll while partitions are paused, so that they are resumed soon.
_POLL_PAUSED = 0.02
#: Seconds to wait for the brokers where their response is required.
_PATIENCE = 5.0
_AFTER_A_FAILURE = 1.0


class GroupConsumer:
    """Its thread runs from `start` to `close`.

    Args:
        on_entry: called for each request that is read.
        on_revoked: called when partitions were revoked, whose requests now belong to other
            members; holds `lock`.
        on_turn: called twice a second.
        abandon_after: seconds after which the missing pieces of a request, left behind by a
            failed `put`, can't arrive any more.
        lock: protects the partitions and their entries.
    """

    def __init__(
        self,
        place: KafkaPlace,
        lock: threading.Lock,
        on_entry: Callable[[Entry], None],
        on_revoked: Callable[[], None],
        on_turn: Callable[[], None],
        abandon_after: float,
        problems: LogLimiter,
    ) -> None:
        self._place = place
        self._lock = lock
        self._on_entry = on_entry
        self._on_revoked = on_revoked
        self._on_turn = on_turn
        self._abandon_after = abandon_after
        self._problems = problems
        self._partitions: dict[int, Partition] = {}
        self._closing = threading.Event()
        self._ended = threading.Event()
        self.deleted = 0
        self.errors = 0

    def start(self) -> bool:
        """Start the thread; False if no thread can be started."""
        return start_thread(self._run, "livedebug-kafka-consumer")

    def close(self, timeout: float) -> None:
        """Commit, and leave the group, so that others take over at once."""
        self._closing.set()
        self._ended.wait(timeout)

    def partitions(self) -> Iterator[Partition]:
        """The currently assigned partitions; the caller holds `lock`."""
        return iter(self._partitions.values())

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                try:
                    self._take_part()
                except Exception as error:  # whatever it is, deliveries must continue
                    self._note(f"reading from Kafka failed, and is restarted: {error}")
                    self._closing.wait(_AFTER_A_FAILURE)
        finally:
            self._ended.set()

    def _take_part(self) -> None:
        events = {"error_cb": self._on_error, "on_commit": self._on_commit}
        client = make(kafka.Consumer, consumer_settings(self._place, events))
        try:
            client.subscribe(
                [self._place.topic],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            due = 0.0
            while not self._closing.is_set():
                message = client.poll(_POLL_PAUSED if self._regulate(client) else _POLL)
                if message is not None:
                    self._read(message)
                now = time.monotonic()
                if now >= due:
                    due = now + _COMMIT_EVERY
                    self._on_turn()
                    self._commit(client, wait=False)
                    self._abandon(client, now)
            self._commit(client, wait=True)
        finally:
            client.close()
            self._forget(list(self._partitions))

    def _read(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise kafka.KafkaException(error)
            self._note(f"Kafka at {self._place.brokers}: {error.str()}")
            return
        with self._lock:
            partition = self._partitions.get(message.partition())
            if partition is None:
                return
            if partition.next is not None and message.offset() < partition.next:
                # The log was truncated or recreated: these are different records. Delivering
                # some twice is better than treating them as done.
                partition.revoked = True
                self._on_revoked()
                partition = Partition(partition.number, message.offset())
                self._partitions[partition.number] = partition
            entry = partition.read(
                message.offset(), message.value() or b"", message.headers(), time.monotonic()
            )
            self._bound_pieces()
            deleted, partition.deleted = partition.deleted, 0
        if entry is not None:
            self._on_entry(entry)
        if deleted:
            self.deleted += deleted
            self._note(
                f"Kafka deleted {deleted} records of {self._place.topic!r} before they were "
                "delivered: its retention is too short, or somebody deleted them"
            )

    def _bound_pieces(self) -> None:
        if sum(one.assembling() for one in self._partitions.values()) <= ASSEMBLING:
            return
        # Usually the one that began last is completed last.
        sets = [pieces for one in self._partitions.values() for pieces in one.sets.values()]
        max((one for one in sets if one.held), key=lambda one: one.since).forget_values()

    def _regulate(self, client: Any) -> bool:
        """Pause partitions that have read far enough ahead; True if any is paused."""
        with self._lock:
            share = READ_AHEAD // max(1, len(self._partitions))
            pause: list[int] = []
            resume: list[int] = []
            for one in self._partitions.values():
                full = one.held > (share // 4 if one.paused else share)
                full = full or len(one.entries) > MAX_OPEN
                if full != one.paused:
                    one.paused = full
                    (pause if full else resume).append(one.number)
            paused = any(one.paused for one in self._partitions.values())
        if pause:
            client.pause(self._parts(pause))
        if resume:
            client.resume(self._parts(resume))
        return paused

    def _commit(self, client: Any, wait: bool, only: list[int] | None = None) -> None:
        with self._lock:
            news = {
                one.number: state
                for one in self._partitions.values()
                if (only is None or one.number in only) and (state := one.to_commit())
            }
            for number, state in news.items():
                self._partitions[number].committed = state
        if not news:
            return
        offsets = [
            kafka.TopicPartition(self._place.topic, number, offset, metadata)
            for number, (offset, metadata) in news.items()
        ]
        try:
            client.commit(offsets=offsets, asynchronous=not wait)
        except kafka.KafkaException as error:
            self._not_committed(list(news), error.args[0])

    def _not_committed(self, numbers: list[int], error: kafka.KafkaError) -> None:
        with self._lock:
            for number in numbers:
                if number in self._partitions:
                    self._partitions[number].committed = None
        self._note(f"Kafka rejects a commit; some requests may be delivered twice: {error.str()}")

    def _on_commit(self, error: kafka.KafkaError | None, parts: list[Any]) -> None:
        failed = error or next((part.error for part in parts if part.error), None)
        if failed is not None and failed.code() != kafka.KafkaError._NO_OFFSET:
            self._not_committed([part.partition for part in parts], failed)

    def _abandon(self, client: Any, now: float) -> None:
        """Drop the pieces of requests that will never be complete.

        A put is confirmed soon or not at all. So all pieces of a set that is old enough are
        before the current end of the log.
        """
        for one in list(self._partitions.values()):
            for set_id, pieces in list(one.sets.items()):
                if pieces.end is None and now - pieces.since >= self._abandon_after:
                    part = kafka.TopicPartition(self._place.topic, one.number)
                    try:
                        pieces.end = client.get_watermark_offsets(part, timeout=_PATIENCE)[1]
                    except kafka.KafkaException:
                        return
                if pieces.end is not None and one.next is not None and one.next >= pieces.end:
                    with self._lock:
                        one.give_up(set_id)
                    logger.info("skipped pieces of a request that was never confirmed")

    # Called by `poll` and `close`, on the consumer's thread.

    def _assigned(self, client: Any, parts: list[Any]) -> None:
        try:
            committed = client.committed(parts, timeout=_PATIENCE)
        except kafka.KafkaException as error:
            self._note(f"can't get the committed offsets from Kafka: {error.args[0].str()}")
            # Read from the committed offsets anyway; requests done beyond them come twice.
            committed = parts
        with self._lock:
            for part in committed:
                base = part.offset if part.offset >= 0 else None
                self._partitions[part.partition] = Partition(part.partition, base, part.metadata)
        for part in committed:
            if part.offset < 0 and committed is not parts:
                part.offset = kafka.OFFSET_BEGINNING
        client.incremental_assign(
            [kafka.TopicPartition(part.topic, part.partition, part.offset) for part in committed]
        )
        logger.info("%s: assigned partitions %s", self._place, sorted(self._partitions))

    def _revoked(self, client: Any, parts: list[Any]) -> None:
        numbers = [part.partition for part in parts]
        self._commit(client, wait=True, only=numbers)
        self._forget(numbers)

    def _lost(self, client: Any, parts: list[Any]) -> None:
        self._forget([part.partition for part in parts])

    def _forget(self, numbers: list[int]) -> None:
        with self._lock:
            for number in numbers:
                gone = self._partitions.pop(number, None)
                if gone is not None:
                    gone.revoked = True
            self._on_revoked()

    def _on_error(self, error: kafka.KafkaError) -> None:
        self._note(f"Kafka at {self._place.brokers}: {error.str()}")

    def _parts(self, numbers: list[int]) -> list[Any]:
        return [kafka.TopicPartition(self._place.topic, number) for number in numbers]

    def _note(self, words: str) -> None:
        self.errors += 1
        self._problems.note(words.partition(":")[0], words)
        self._problems.report()
