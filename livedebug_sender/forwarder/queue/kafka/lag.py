"""The number of requests waiting in a topic, which a separate thread asks the brokers for.

Not by an `AdminClient`: it responds on a thread of its C library. If Python's garbage collector
destroys a client on that thread, the client waits for that same thread, and the process dies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import confluent_kafka as kafka

from ....errors import ConfigError
from ....runtime.threads import start_thread
from .clients import KafkaPlace, common_settings, make, reading_settings
from .offsets import DoneOffsets

#: Seconds for which a result is considered current.
_FRESH = 1.0
_PATIENCE = 5.0


class TopicLag:
    """The offsets of a topic's partitions, and those that a group has done.

    Args:
        partitions: number of partitions.

    Attributes:
        numbers: the numbers of the partitions.
    """

    def __init__(self, place: KafkaPlace, topic: str, group: str, partitions: int) -> None:
        self._settings = {
            **common_settings(place),
            **reading_settings(place),
            "group.id": group,
        }
        self._topic = topic
        self.numbers = range(partitions)
        self._asked = threading.Event()
        # Protects everything below.
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._running = False
        self._closed = False
        #: By partition: the first offset, and the offset after the last.
        self._ends: dict[int, tuple[int, int]] = {}
        self._done: dict[int, DoneOffsets] = {}

    def refresh(self) -> None:
        """Start to ask the brokers, unless they just were; does not wait."""
        with self._lock:
            now = time.monotonic()
            if self._closed or now - self._asked_at < _FRESH:
                return
            self._asked_at = now
            self._running = self._running or start_thread(self._run, "livedebug-kafka-lag")
        self._asked.set()

    def end(self, partition: int) -> int:
        """The offset after the last record."""
        with self._lock:
            return self._ends.get(partition, (0, 0))[1]

    def waiting(self, partitions: Iterable[int] | None = None) -> int:
        """The number of records not done, in these partitions (None: in all)."""
        with self._lock:
            return sum(map(self._waiting, self.numbers if partitions is None else partitions))

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._asked.set()

    def _waiting(self, partition: int) -> int:
        first, end = self._ends.get(partition, (0, 0))
        done = self._done.get(partition) or DoneOffsets(first)
        return max(0, end - max(done.base, first) - done.beyond())

    def _run(self) -> None:
        try:
            client = make(kafka.Consumer, self._settings)
        except ConfigError:  # logged by the producer and the consumer
            return
        try:
            while True:
                self._asked.wait()
                self._asked.clear()
                if self._closed:
                    return
                try:
                    self._ask(client)
                except kafka.KafkaException:
                    pass  # try again later; the producer and the consumer log the problem
        finally:
            client.close()

    def _ask(self, client: Any) -> None:
        parts = [kafka.TopicPartition(self._topic, number) for number in self.numbers]
        done = {
            part.partition: DoneOffsets(part.offset, part.metadata)
            for part in client.committed(parts, timeout=_PATIENCE)
            if part.offset >= 0
        }
        ends = {
            part.partition: client.get_watermark_offsets(part, timeout=_PATIENCE) for part in parts
        }
        with self._lock:
            self._done, self._ends = done, ends
