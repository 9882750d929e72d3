"""Where the payloads of one track wait for their worker.

Not a `queue.Queue`: that takes a lock in `put`, which deadlocks when a signal handler or a
finalizer puts while the same thread is inside `put`, and wakes its consumer for every item.
Here `put` is one call that can't be interrupted, and the consumer sleeps on a bell that is
rung only when it is of use.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat, starmap

from ..protocol.payload import Item
from .bell import Bell
from .capacity import QueueCapacity

#: Exceeded by whatever is held: the consumer is parked, or not there.
_ALWAYS = (-1, -1)


class PayloadQueue:
    """First in, first out; one consumer at a time, any number of producers.

    Its bounds are those of the `QueueCapacity` it shares with the sender's other queues;
    the producer counts its payload in there before it puts.
    """

    def __init__(self, capacity: QueueCapacity, bell: Bell, *, flood: bool = False) -> None:
        self._capacity = capacity
        self._bell = bell
        self._waiting: deque[Item] = deque()
        bound = capacity.bound_of(flood=flood)
        self._when_full = (bound.items, bound.size)
        #: Items and bytes: when more than that is held, a producer looks at `wants_wake`.
        #: Either the consumer wants to be woken, or the producer's bound is exceeded; for
        #: a flood it may be neither, since its own bound is compared with all that is held.
        self.wake_threshold: tuple[int, int] = _ALWAYS
        #: Put an item; to be followed by a look at `wake_threshold`, which the consumer
        #: sets before it looks for items: one of the two sees the other.
        self.put = self._waiting.append

    def __len__(self) -> int:
        return len(self._waiting)

    def sizes(self) -> list[int]:
        """The bytes of each item that waits."""
        while True:
            try:
                return list(map(len, self._waiting.copy()))
            except RuntimeError:  # without a global lock a copy is no single step
                continue

    def wants_wake(self) -> bool:
        """Does the consumer want to be woken for what is held now?"""
        items, size = self._capacity.held()
        wake_items, wake_size = self.wake_threshold
        return items > wake_items or size > wake_size

    def move_to(self, batch: list[Item], count: int) -> None:
        """Consumer: move the oldest items, at most `count`, to the end of a batch.

        In one call, which no signal handler, and no killer of threads, can interrupt: an
        item is in one place or in the other.
        """
        count = min(count, len(self._waiting))
        batch.extend(starmap(self._waiting.popleft, repeat((), count)))

    def wake(self) -> None:
        """Wake the consumer, now or, if it isn't waiting, when it next would wait."""
        # Once is enough: awake, it will look by itself. Not after the bell, when it may
        # have set a new threshold already.
        self.wake_threshold = self._when_full
        self._bell.ring()

    def sleep(self, timeout: float | None) -> None:
        """Consumer: wait for `wake`, at most `timeout` seconds, whatever is put."""
        self._bell.wait(timeout)

    def wait_for_first(self) -> None:
        """Consumer: wait until there is an item, or it is woken for another reason."""
        self.wake_threshold = _ALWAYS
        if not self._waiting:
            self.sleep(None)
        self.wake_threshold = self._when_full

    def wait_for_more(self, items: int, size: int, timeout: float) -> None:
        """Consumer: wait until about so much more came in, or the sender is half full."""
        held, bound = self._capacity.held(), self._capacity.bound
        self.wake_threshold = (
            min(held.items + items, (bound.items + 1) // 2) - 1,
            min(held.size + size, (bound.size + 1) // 2) - 1,
        )
        if not self.wants_wake():
            self.sleep(timeout)
        self.wake_threshold = self._when_full

    def attended(self) -> None:
        """A consumer is about to come, and will look by itself."""
        self.wake_threshold = self._when_full

    def unattended(self) -> None:
        """The consumer has left: the next put is to see to another one."""
        self.wake_threshold = _ALWAYS
