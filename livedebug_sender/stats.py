"""What became of every payload, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Reasons of `enqueue` saying ``False``: the payload never was in the queue.
REFUSED = ("queue_full", "too_large", "invalid", "closed")
#: Reasons of a drop after that.
LOST = ("rejected", "undeliverable", "shutdown")


@dataclass(frozen=True)
class Stats:
    """A sender's accounts in this process, at one moment.

    ``enqueued == delivered + pending + dropped[rejected, undeliverable, shutdown]``
    holds always. Counts are of payloads, one for each `enqueue` call, but for
    `requests`, `retries` and the `additional_*` (requests) and for `pending_bytes`
    and `bytes_sent` (bytes; of bodies, to the primary endpoints).
    """

    enqueued: int = 0
    delivered: int = 0
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    pending: int = 0
    pending_bytes: int = 0
    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0
    additional_delivered: int = 0
    additional_failed: int = 0
