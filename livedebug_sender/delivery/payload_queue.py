"""The queue of one track's payloads.

Not a `queue.Queue`: that takes a lock in `put`, which deadlocks when a signal handler or a
finalizer puts while the same thread is inside `put`, and wakes its consumer for every item.
Here `put` is a single call that can't be interrupted, and the consumer is woken only when there
is something to do.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat, starmap

from ..protocol.payload import Item
from ..runtime.auto_reset_event import AutoResetEvent
from ..runtime.host_signals import reraise_of_signal_handler
from .capacity import QueueCapacity

#: Always exceeded, so that every put wakes: the consumer sleeps, or there is none.
UNATTENDED = (-1, -1)


class PayloadQueue:
    """First in, first out; one consumer at a time, any number of producers.

    Its limits are those of the `QueueCapacity` that it shares with the sender's other queues;
    the producer counts its payload there before it puts.
    """

    def __init__(
        self, capacity: QueueCapacity, event: AutoResetEvent, *, flood: bool = False
    ) -> None:
        self._capacity = capacity
        self._event = event
        self._release = event.release
        self._waiting: deque[Item] = deque()
        bound = capacity.bound_of(flood=flood)
        self._when_full = (bound.items, bound.size)
        #: Items and bytes: above these totals, a producer calls `wants_wake` and checks its
        #: limit. The limit of high-volume tracks is compared with the total of all tracks here,
        #: so the check may be too early.
        self.wake_threshold: tuple[int, int] = UNATTENDED
        #: Put an item. Check `wake_threshold` afterwards: the consumer sets it before it looks
        #: for items, so that one of the two notices the other.
        self.put = self._waiting.append

    def __len__(self) -> int:
        return len(self._waiting)

    def sizes(self) -> list[int]:
        """The bytes of each waiting item."""
        while self._waiting:
            try:
                return list(map(len, self._waiting.copy()))
            except RuntimeError:  # without the GIL, a copy is not atomic
                continue
        return []

    def wants_wake(self) -> bool:
        """Whether the consumer must be woken at the current totals."""
        items, size = self._capacity.held()
        wake_items, wake_size = self.wake_threshold
        return items > wake_items or size > wake_size

    def move_to(self, batch: list[Item], count: int) -> None:
        """Consumer: move the oldest items, at most `count`, to the end of a batch.

        In a single call, which can't be interrupted: an item is in one place or the other.
        """
        count = min(count, len(self._waiting))
        batch.extend(starmap(self._waiting.popleft, repeat((), count)))

    def wake(self) -> None:
        """Wake the consumer, now or, if it isn't waiting, when it would wait next."""
        # One wake is enough: once awake, it looks for items itself. The threshold is changed
        # before the release, since the consumer may change it after that. Nothing may be called
        # in between: if that raised, the consumer would sleep on, and no later put would wake it.
        self.wake_threshold = self._when_full
        try:
            self._release()
        except RuntimeError as error:  # it is awake already
            reraise_of_signal_handler(error)

    def sleep(self, timeout: float | None) -> None:
        """Consumer: wait for `wake`, at most `timeout` seconds, whatever is put."""
        self._event.wait(timeout)

    def wait_for_first(self) -> None:
        """Consumer: wait until there is an item, or it is woken for another reason."""
        self.wake_threshold = UNATTENDED
        if not self._waiting:
            self.sleep(None)
        self.wake_threshold = self._when_full

    def wait_for_more(self, items: int, size: int, timeout: float) -> None:
        """Consumer: wait until about that much more was put, or half of a limit is in use."""
        held, bound = self._capacity.held(), self._capacity.bound
        self.wake_threshold = (
            min(held.items + items, (bound.items + 1) // 2) - 1,
            min(held.size + size, (bound.size + 1) // 2) - 1,
        )
        if not self.wants_wake():
            self.sleep(timeout)
        self.wake_threshold = self._when_full

    def attended(self) -> None:
        """Note that a consumer has started, and will look for items itself."""
        self.wake_threshold = self._when_full

    def unattended(self) -> None:
        """Note that the consumer has ended: the next put must start another one."""
        self.wake_threshold = UNATTENDED
