"""Inspects a topic and its dead letters, whether or not forwarders use it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import confluent_kafka as kafka

from ....runtime.log_limiter import LogLimiter
from ..browsing import DEAD, WAITING, Entry, Finding, QueueInUse
from ..request_queue import QueueUnreachable
from ..stored_request import StoredRequest
from .clients import common_settings, kafka_place, make, reading_settings
from .offsets import DoneOffsets
from .partition import Entry as Held
from .partition import Partition
from .producer import RecordProducer
from .reader import RecordReader
from .records import REASON_HEADER, header, raw_records, records_of, value_limit
from .spreading import by_route
from .topic import described_topic

#: Seconds to wait for the brokers' response.
_PATIENCE = 15.0


class KafkaBrowser:
    """A `QueueBrowser`. An entry's name is its place, partition and first offset.

    Dead letters can be requeued and dropped at any time, waiting requests only while no
    forwarder uses the topic.

    Args:
        routes: as in `QueueOptions`.
        properties_file: librdkafka properties; "": none.

    Raises:
        QueueUnreachable: no broker answers.
        ConfigError: no such topic.
    """

    def __init__(self, url: str, routes: Sequence[str], properties_file: str = "") -> None:
        place = self._place = kafka_place(url, properties_file)
        self._routes = tuple(routes)
        self._topics = {WAITING: place.topic, DEAD: place.dead_topic}
        self._groups = {WAITING: place.group, DEAD: place.dead_group}
        self._described = {key: described_topic(place, name) for key, name in self._topics.items()}
        self._reader = RecordReader(place)
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> KafkaBrowser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def entries(self, place: str) -> Iterator[Entry]:
        """All entries, in each partition the oldest first."""
        for number in range(self._described[place].partitions):
            partition = self._open(place, number)
            try:
                for held, reason in self._held(place, partition):
                    yield _entry(place, held, reason)
            except kafka.KafkaException as error:
                raise self._unreachable(error) from None

    def read(self, name: str) -> StoredRequest:
        held, _ = self._find(name)
        if held.request is None:
            raise KeyError(f"{name} is not a complete request: {held.damage}")
        return held.request

    def requeue(self, names: Collection[str]) -> int:
        limit = value_limit(min(one.max_message_bytes for one in self._described.values()))
        producer = RecordProducer(self._place, limit, _PATIENCE, LogLimiter())
        spread = by_route(self._routes, self._described[WAITING].partitions)
        done: list[str] = []
        try:
            for name in names:
                if not name.startswith(DEAD):
                    continue
                try:
                    held, _ = self._find(name)
                except KeyError:  # requeued or dropped in the meantime
                    continue
                if held.request is not None:
                    records = records_of(held.request, limit)
                else:
                    records = raw_records(held.damaged or b"", limit, None)
                anywhere = list(range(self._described[WAITING].partitions))
                producer.put(self._place.topic, spread.get(held.route, anywhere), records)
                done.append(name)
        finally:
            self._settle(done)
            producer.close(_PATIENCE)
        return len(done)

    def drop(self, names: Collection[str]) -> int:
        return self._settle(names)

    def verify(self) -> Iterator[Finding]:
        for place, topic in self._topics.items():
            for number in range(self._described[place].partitions):
                partition = self._open(place, number)
                requests = size = damaged = 0
                try:
                    for held, _ in self._held(place, partition):
                        requests += 1
                        size += held.size
                        damaged += held.damaged is not None
                except kafka.KafkaException as error:
                    raise self._unreachable(error) from None
                problems = [
                    (damaged, "damaged"),
                    (len(partition.sets), "with missing pieces"),
                    (partition.deleted, "records deleted before they were delivered"),
                ]
                words = ", ".join(f"{count} {what}" for count, what in problems if count)
                yield Finding(f"{topic}/{number}", requests, size, words)

    def close(self) -> None:
        self._reader.close()
        while self._clients:
            self._clients.popitem()[1].close()

    def _client(self, place: str) -> Any:
        """A consumer for offsets and commits of this place's group, which reads nothing."""
        if place not in self._clients:
            settings = {
                **common_settings(self._place),
                **reading_settings(self._place),
                "group.id": self._groups[place],
            }
            self._clients[place] = make(kafka.Consumer, settings)
        return self._clients[place]

    def _open(self, place: str, number: int) -> Partition:
        """A partition from its group's committed offset on, with nothing read yet."""
        client = self._client(place)
        part = kafka.TopicPartition(self._topics[place], number)
        try:
            (committed,) = client.committed([part], timeout=_PATIENCE)
            first, _ = client.get_watermark_offsets(part, timeout=_PATIENCE)
        except kafka.KafkaException as error:
            raise self._unreachable(error) from None
        if committed.offset < 0:
            return Partition(number, first)
        return Partition(number, committed.offset, committed.metadata)

    def _held(self, place: str, partition: Partition) -> Iterator[tuple[Held, str]]:
        """All entries that are not done, and the reason of each dead letter."""
        topic = self._topics[place]
        part = kafka.TopicPartition(topic, partition.number)
        first, end = self._client(place).get_watermark_offsets(part, timeout=_PATIENCE)
        assert partition.next is not None
        start = max(first, partition.next)
        if start >= end:
            return
        reader = RecordReader(self._place)  # a separate one: another may be in use
        try:
            for message in reader.scan(topic, partition.number, start, end):
                held = partition.read(
                    message.offset(), message.value() or b"", message.headers(), time.monotonic()
                )
                if held is not None:
                    reason = header(message.headers(), REASON_HEADER) or b""
                    yield held, reason.decode("utf-8", "replace")
                    held.request = held.damaged = None
        finally:
            reader.close()

    def _find(self, name: str) -> tuple[Held, str]:
        place, number, offset = _parsed(name)
        partition = Partition(number, offset)
        try:
            for held, reason in self._held(place, partition):
                if held.offsets[0] == offset:
                    return held, reason
                if not any(offset in one.offsets.values() for one in partition.sets.values()):
                    break
        except kafka.KafkaException:
            pass
        raise KeyError(name)

    def _settle(self, names: Collection[str]) -> int:
        """Commit these as done; returns how many were found."""
        settled = 0
        by_partition = defaultdict(list)
        for name in names:
            try:
                held, _ = self._find(name)
            except KeyError:
                continue
            place, number, _ = _parsed(name)
            by_partition[place, number].append(held.offsets)
        for (place, number), found in by_partition.items():
            partition = self._open(place, number)
            done = partition.done
            assert done is not None
            settled += sum(offsets[0] not in done for offsets in found)
            for offset in (one for offsets in found for one in offsets):
                done.add(offset, offset + 1)
            self._commit(place, number, done)
        return settled

    def _commit(self, place: str, number: int, done: DoneOffsets) -> None:
        part = kafka.TopicPartition(
            self._topics[place], number, done.base, done.metadata(done.known_from)
        )
        try:
            self._client(place).commit(offsets=[part], asynchronous=False)
        except kafka.KafkaException as error:
            if error.args[0].code() == kafka.KafkaError.UNKNOWN_MEMBER_ID:
                raise QueueInUse(
                    f"forwarders use {self._place}; stop them, then try again "
                    "(dead letters can be dropped and requeued at any time)"
                ) from None
            raise self._unreachable(error) from None

    def _unreachable(self, error: kafka.KafkaException) -> QueueUnreachable:
        return QueueUnreachable(f"{self._place}: {error.args[0].str()}")


def _entry(place: str, held: Held, reason: str) -> Entry:
    request = held.request
    return Entry(
        f"{place}:{held.partition.number}:{held.offsets[0]}",
        place,
        held.route,
        request.request_id if request else "",
        held.received_at,
        len(request.body) if request else held.size,
        reason or held.damage,
    )


def _parsed(name: str) -> tuple[str, int, int]:
    """Place, partition and offset of an entry's name; KeyError for an invalid name."""
    place, _, rest = name.partition(":")
    number, _, offset = rest.partition(":")
    if place not in (WAITING, DEAD) or not number.isdigit() or not offset.isdigit():
        raise KeyError(name)
    return place, int(number), int(offset)
