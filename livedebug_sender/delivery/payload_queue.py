"""Where the payloads of one track wait for their worker.

Not a `queue.Queue`: that takes a lock in `put`, which deadlocks when a signal handler or a
finalizer puts while the same thread is inside `put`, and wakes its consumer for every item.
Here `put` is one call that can't be interrupted, and the consumer is woken only when there is
something for it to do.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat, starmap

from ..protocol.payload import Item
from ..runtime.auto_reset_event import AutoResetEvent
from .capacity import QueueCapacity

#: Is always exceeded, so that every put wakes: the consumer sleeps, or there is none.
_ALWAYS = (-1, -1)


class PayloadQueue:
    """First in, first out; one consumer at a time, any number of producers.

    Its bounds are those of the `QueueCapacity` it shares with the sender's other queues;
    the producer counts its payload in there before it puts.
    """

    def __init__(
        self, capacity: QueueCapacity, event: AutoResetEvent, *, flood: bool = False
    ) -> None:
        self._capacity = capacity
        self._event = event
        self._waiting: deque[Item] = deque()
        bound = capacity.bound_of(flood=flood)
        self._when_full = (bound.items, bound.size)
        #: Items and bytes: if more than that is held, a producer calls `wants_wake` and
        #: checks its bound. A flood's bound is compared here with all that is held, so it may
        #: check too early.
        self.wake_threshold: tuple[int, int] = _ALWAYS
        #: Put an item. Check `wake_threshold` after it: the consumer sets it before it looks
        #: for items, so that one of the two sees what the other did.
        self.put = self._waiting.append

    def __len__(self) -> int:
        return len(self._waiting)

    def sizes(self) -> list[int]:
        """The bytes of each item that waits."""
        while self._waiting:
            try:
                return list(map(len, self._waiting.copy()))
            except RuntimeError:  # without a global lock a copy is no single step
                continue
        return []

    def wants_wake(self) -> bool:
        """Whether the consumer has to be woken for what is held now."""
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
        # One wake is enough: once awake, it looks for items by itself. The threshold is
        # changed before `set`, after which the consumer may change it again.
        self.wake_threshold = self._when_full
        self._event.set()

    def sleep(self, timeout: float | None) -> None:
        """Consumer: wait for `wake`, at most `timeout` seconds, whatever is put."""
        self._event.wait(timeout)

    def wait_for_first(self) -> None:
        """Consumer: wait until there is an item, or it is woken for another reason."""
        self.wake_threshold = _ALWAYS
        if not self._waiting:
            self.sleep(None)
        self.wake_threshold = self._when_full

    def wait_for_more(self, items: int, size: int, timeout: float) -> None:
        """Consumer: wait until about that much more was put, or half of a bound is in use."""
        held, bound = self._capacity.held(), self._capacity.bound
        self.wake_threshold = (
            min(held.items + items, (bound.items + 1) // 2) - 1,
            min(held.size + size, (bound.size + 1) // 2) - 1,
        )
        if not self.wants_wake():
            self.sleep(timeout)
        self.wake_threshold = self._when_full

    def attended(self) -> None:
        """A consumer is about to start, and will look for items by itself."""
        self.wake_threshold = self._when_full

    def unattended(self) -> None:
        """The consumer has ended: the next put has to start another one."""
        self.wake_threshold = _ALWAYS
