"""Where the payloads of one track wait for their worker.

A `queue.Queue` in what it offers to producer and consumer, without its locks:
`put_nowait` may interrupt itself on the same thread, at any line, and never waits for
another thread. The consumer sleeps on a bell, which is rung only when it is of use.
"""

from __future__ import annotations

import queue
import threading
from collections import deque

from ..protocol.payload import Item
from .capacity import PASSED, Room, headroom

#: Passed by whatever is held: the consumer is parked, or not there.
_FOR_ALL = PASSED


class PayloadQueue(queue.Queue[Item]):
    """First in, first out; one consumer, any number of producers.

    Its bounds are those of the `Room` it shares with the sender's other queues;
    the producer makes room there before it puts.
    """

    def __init__(self, room: Room, *, flood: bool = False) -> None:
        super().__init__()
        self._room = room
        self._waiting: deque[Item] = deque()
        # The bell: a lock that is free once it was rung. Ringing is one call that
        # can't be interrupted, which is more than Event.set and Condition can say.
        self._bell = threading.Lock()
        self._bell.acquire()
        #: Added to what the room holds it passes when the consumer wants to be rung, and
        #: before the producer's bound is passed, so that one look tells of both: a flood
        #: is below its bound as long as all that is held is.
        self.alarm = _FOR_ALL
        self._for_none = room.of_floods if flood else room.of_all

        #: Put without a look at the consumer's wish; see `wanted`.
        self.append = self._waiting.append

    def put_nowait(self, item: Item) -> bool:  # type: ignore[override]
        """Put, and say whether the consumer wants to be rung for."""
        self.append(item)
        return self.wanted()

    def wanted(self) -> bool:
        """Does the consumer want to be rung for what is held now?

        To be asked after a put, as the consumer looks for payloads after it made its
        wish: one of the two sees the other.
        """
        return (self._room.held() + self.alarm) & PASSED != 0

    def get_nowait(self) -> Item:
        """The oldest item; `queue.Empty` if there is none."""
        try:
            return self._waiting.popleft()
        except IndexError:
            raise queue.Empty from None

    def fill(self, batch: list[Item], size: int, most: int, most_bytes: int) -> int:
        """Consumer: move items to the end of a batch of `size` bytes while they fit.

        A first item is always taken, however large: what is in the queue is to be sent.

        Returns:
            The batch's new size.
        """
        waiting, next_one, add = self._waiting, self._waiting.popleft, batch.append
        for _ in range(min(len(waiting), most - len(batch))):
            larger = size + len(waiting[0])
            if larger > most_bytes and batch:
                break
            add(next_one())
            size = larger
        return size

    def qsize(self) -> int:
        return len(self._waiting)

    def empty(self) -> bool:
        return not self._waiting

    def ring(self) -> None:
        """Wake the consumer, now or, if it isn't waiting, when it next would wait."""
        # Once is enough: awake, it will look by itself. Not after the bell, when it may
        # have made a new wish already.
        self.alarm = self._for_none
        try:
            self._bell.release()
        except RuntimeError:  # it was rung before
            pass

    def sleep(self, timeout: float | None) -> None:
        """Consumer: wait for the bell, at most `timeout` seconds, whatever is put."""
        if timeout is None:
            self._bell.acquire()
        elif timeout > 0:
            self._bell.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))

    def wait_for_first(self) -> None:
        """Consumer: wait until there is an item, or the bell rings for another reason."""
        self.alarm = _FOR_ALL
        if not self._waiting:
            self.sleep(None)
        self.alarm = self._for_none

    def wait_for_more(self, items: int, size: int, timeout: float) -> None:
        """Consumer: wait until about so much more came in, or the room is half full."""
        held_items, held_bytes = self._room.read()
        self.alarm = headroom(
            min(held_items + items, self._room.max_items // 2) - 1,
            min(held_bytes + size, self._room.max_bytes // 2) - 1,
        )
        if not self.wanted():
            self.sleep(timeout)
        self.alarm = self._for_none

    def attended(self) -> None:
        """A consumer is about to come, and will look by itself."""
        self.alarm = self._for_none

    def unattended(self) -> None:
        """The consumer has left: ring for every put, so that somebody takes over."""
        self.alarm = _FOR_ALL
