"""Looking into a queue from outside, whether or not a forwarder works with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from .stored_request import StoredRequest

WAITING = "waiting"
DEAD = "dead"


@dataclass(frozen=True)
class Entry:
    """A request in a queue, without its body.

    Args:
        name: names it in this queue, for `QueueBrowser.read` and the rest.
        place: `WAITING` or `DEAD`.
        size: bytes of the body.
        reason: why it is dead; else "".
    """

    name: str
    place: str
    route: str
    request_id: str
    received_at: float
    size: int
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """What `QueueBrowser.verify` saw of one part (a file, a partition).

    Args:
        problem: what is wrong, in words; "": nothing.
    """

    part: str
    requests: int
    bytes: int
    problem: str = ""


class QueueInUse(Exception):
    """Not while a forwarder works with it; the message says what to do."""


class QueueBrowser(Protocol):
    """For one thread; a context manager."""

    def entries(self, place: str) -> Iterator[Entry]:
        """All entries, the oldest first."""

    def read(self, name: str) -> StoredRequest:
        """One whole request; KeyError if there is none of that name."""

    def requeue(self, names: Collection[str]) -> int:
        """Let dead letters be delivered again; how many were.

        Raises:
            QueueInUse
        """

    def drop(self, names: Collection[str]) -> int:
        """Take requests out for good; how many were there.

        Raises:
            QueueInUse
        """

    def verify(self) -> Iterator[Finding]:
        """Read all there is, part by part."""

    def close(self) -> None: ...

    def __enter__(self) -> QueueBrowser: ...

    def __exit__(self, *_: object) -> None: ...
