"""What one commit writes, and whom to tell of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..request_queue import RETRY_AFTER, PutCallback, PutRefused
from ..stored_request import StoredRequest
from .settled import Settled
from .waiting import Place


@dataclass
class Addition:
    """A request to append; `moved_from`: where it is stored so far."""

    request: StoredRequest
    size: int
    envelope: bytes
    moved_from: Place | None = None


@dataclass
class Batch:
    """What goes into one transaction. The state's lock is held while it changes."""

    additions: list[Addition] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    bytes: int = 0
    #: One for each put.
    callbacks: list[PutCallback] = field(default_factory=list)

    def committed(self) -> None:
        """Tell all who put."""
        for callback in self.callbacks:
            callback(None)

    def refused(self, kind: type[PutRefused], words: str) -> None:
        """Tell all who put why it is not committed."""
        for callback in self.callbacks:
            # One for each, since each may be raised by another thread.
            callback(kind(words, RETRY_AFTER))
