"""Several payloads of one track on their way in one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..protocol.payload import Item


@dataclass
class Batch:
    """Payloads that share a request, and what they went through so far."""

    items: Sequence[Item]
    size: int
    #: When it was first tried (seconds of the sender's clock); None: not yet.
    #: The parts of a split batch keep it, so that splitting buys no time.
    tried_at: float | None = None

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.items) // 2
        return self._part(self.items[:middle]), self._part(self.items[middle:])

    def _part(self, items: Sequence[Item]) -> Batch:
        return Batch(items, sum(map(len, items)), self.tried_at)
