"""Several payloads of one track on their way in one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .payload_queue import Item, PayloadQueue


@dataclass
class Batch:
    """Payloads that share a request, and what they went through so far."""

    items: Sequence[Item]
    size: int
    #: When it was first tried (seconds of the sender's clock); None: not yet.
    #: The parts of a split batch keep it, so that splitting buys no time.
    tried_at: float | None = None

    @property
    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.items]

    @property
    def content_type(self) -> str | None:
        return self.items[0][1]

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.items) // 2
        return self._part(self.items[:middle]), self._part(self.items[middle:])

    def _part(self, items: Sequence[Item]) -> Batch:
        return Batch(items, sum(len(payload) for payload, _ in items), self.tried_at)


def fill(batch: list[Item], size: int, waiting: PayloadQueue, most: int, most_bytes: int) -> int:
    """Move items from the queue to the end of a batch while they fit; the new size.

    A first item is always taken, however large: what is in the queue is to be sent.
    """
    while len(batch) < most:
        item = waiting.peek()
        if item is None or (batch and size + len(item[0]) > most_bytes):
            break
        batch.append(waiting.get_nowait())
        size += len(item[0])
    return size
