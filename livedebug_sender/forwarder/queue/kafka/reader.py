"""Reads records without joining the group: a single one again, or all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

import confluent_kafka as kafka

from ..request_queue import RETRY_AFTER, QueueUnavailable, shutting_down
from .clients import KafkaPlace, common_settings, make, reading_settings
from .records import piece_of, put_together

#: Seconds to wait for a record that should exist.
_PATIENCE = 10.0
#: Seconds between two checks whether it was closed.
_LOOK = 0.2


class RecordReader:
    """May be used by any number of threads, one at a time."""

    def __init__(self, place: KafkaPlace) -> None:
        self._settings = {
            **common_settings(place),
            **reading_settings(place),
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 4096,
        }
        self._brokers = place.brokers
        self._closed = False
        # Protects the client, which has one position.
        self._lock = threading.Lock()
        self._client: Any = None

    def value(self, topic: str, partition: int, offsets: Collection[int]) -> bytes | None:
        """The value of one request, joined from its records; None: it no longer exists.

        Raises:
            QueueUnavailable: the brokers don't answer.
        """
        wanted = set(offsets)
        found = []
        for message in self.scan(topic, partition, min(wanted), max(wanted) + 1):
            if message.offset() in wanted:
                found.append((message.value() or b"", piece_of(message.headers())))
        return put_together(found) if len(found) == len(wanted) else None

    def scan(self, topic: str, partition: int, start: int, end: int) -> Iterator[Any]:
        """The messages from `start` to before `end` that still exist.

        Raises:
            QueueUnavailable: the brokers don't answer.
        """
        with self._lock:
            if self._closed:
                raise shutting_down()
            client = self._client = self._client or make(kafka.Consumer, self._settings)
            client.assign([kafka.TopicPartition(topic, partition, start)])
            try:
                yield from self._scan(client, end)
            finally:
                client.unassign()

    def close(self) -> None:
        self._closed = True
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _scan(self, client: Any, end: int) -> Iterator[Any]:
        until = time.monotonic() + _PATIENCE
        while True:
            message = client.poll(_LOOK)
            if message is None:
                if self._closed or time.monotonic() >= until:
                    raise QueueUnavailable(f"Kafka at {self._brokers} does not answer", RETRY_AFTER)
                continue
            error = message.error()
            if error is None:
                if message.offset() < end:
                    yield message
                if message.offset() + 1 >= end:
                    return
                until = time.monotonic() + _PATIENCE
            elif error.code() == kafka.KafkaError._PARTITION_EOF:
                return
            elif error.fatal() or not error.retriable():
                raise QueueUnavailable(f"Kafka at {self._brokers}: {error.str()}", RETRY_AFTER)
