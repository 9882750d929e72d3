"""Where the payloads of one track wait for their worker.

A `queue.Queue` in what it offers to producer and consumer, without its locks:
`put_nowait` may interrupt itself on the same thread, at any line, and never waits for
another thread. The consumer sleeps on a bell, which is rung only when it is of use.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque

from .room import Room

#: What waits: the payload, and for SymDB its content type.
Item = tuple[bytes, "str | None"]


class PayloadQueue(queue.Queue[Item]):
    """First in, first out; one consumer, any number of producers.

    Its bounds are those of the `Room` it shares with the sender's other queues;
    the producer makes room there before it puts.
    """

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._room = room
        self._waiting: deque[Item] = deque()
        # The bell: a lock that is free once it was rung. Ringing is one call that
        # can't be interrupted, which is more than Event.set and Condition can say.
        self._bell = threading.Lock()
        self._bell.acquire()
        # From how much held in the room on the consumer wants to be rung for:
        # 0 while it is parked or not there, infinity while it is busy.
        self._ring_at_items: float = 0
        self._ring_at_bytes: float = 0

    def put_nowait(self, item: Item) -> bool:  # type: ignore[override]
        """Put, and say whether the consumer wants to be rung for.

        The put comes before the look at the consumer's wish, and the consumer looks
        for payloads after it made its wish: one of the two sees the other.
        """
        self._waiting.append(item)
        if self._ring_at_items == math.inf:
            return False
        items, size = self._room.read()
        return items >= self._ring_at_items or size >= self._ring_at_bytes

    def get_nowait(self) -> Item:
        """The oldest item; `queue.Empty` if there is none."""
        try:
            return self._waiting.popleft()
        except IndexError:
            raise queue.Empty from None

    def peek(self) -> Item | None:
        """The item that is next, for the one consumer."""
        return self._waiting[0] if self._waiting else None

    def qsize(self) -> int:
        return len(self._waiting)

    def empty(self) -> bool:
        return not self._waiting

    def ring(self) -> None:
        """Wake the consumer, now or, if it isn't waiting, when it next would wait."""
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:  # somebody else rang in between: as good
                pass

    def sleep(self, timeout: float | None) -> None:
        """Consumer: wait for the bell, at most `timeout` seconds, whatever is put."""
        if timeout is None:
            self._bell.acquire()
        elif timeout > 0:
            self._bell.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))

    def wait_for_first(self) -> None:
        """Consumer: wait until there is an item, or the bell rings for another reason."""
        self._ring_at_items = self._ring_at_bytes = 0
        if not self._waiting:
            self.sleep(None)
        self._ring_at_items = self._ring_at_bytes = math.inf

    def wait_for_more(self, items: int, size: int, timeout: float) -> None:
        """Consumer: wait until about so much more came in, or the room is half full."""
        held_items, held_bytes = self._room.read()
        self._ring_at_bytes = min(held_bytes + size, self._room.max_bytes / 2)
        self._ring_at_items = min(held_items + items, self._room.max_items / 2)
        if not self._wanted():
            self.sleep(timeout)
        self._ring_at_items = self._ring_at_bytes = math.inf

    def unattended(self) -> None:
        """The consumer has left: ring for every put, so that somebody takes over."""
        self._ring_at_items = self._ring_at_bytes = 0

    def _wanted(self) -> bool:
        items, size = self._room.read()
        return items >= self._ring_at_items or size >= self._ring_at_bytes
