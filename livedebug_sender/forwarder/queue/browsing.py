"""Inspects a queue from outside, whether or not a forwarder uses it."""

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
        name: identifies it in this queue, for the methods of `QueueBrowser`.
        place: `WAITING` or `DEAD`.
        size: bytes of the body.
        reason: why it is a dead letter; otherwise "".
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
    """The result of `QueueBrowser.verify` for one part (a file, a partition).

    Args:
        problem: a description of what is wrong; "": nothing.
    """

    part: str
    requests: int
    bytes: int
    problem: str = ""


class QueueInUse(Exception):
    """Not possible while a forwarder uses the queue; the message says what to do."""


class QueueBrowser(Protocol):
    """For use by one thread; a context manager."""

    def entries(self, place: str) -> Iterator[Entry]:
        """All entries, the oldest first."""

    def read(self, name: str) -> StoredRequest:
        """One complete request; KeyError if there is none of that name."""

    def requeue(self, names: Collection[str]) -> int:
        """Put dead letters back into the queue; returns how many.

        Raises:
            QueueInUse
        """

    def drop(self, names: Collection[str]) -> int:
        """Delete requests permanently; returns how many were found.

        Raises:
            QueueInUse
        """

    def verify(self) -> Iterator[Finding]:
        """Read and check everything, part by part."""

    def close(self) -> None: ...

    def __enter__(self) -> QueueBrowser: ...

    def __exit__(self, *_: object) -> None: ...
