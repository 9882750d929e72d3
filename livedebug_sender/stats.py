"""The counts of a sender, and the reasons of drops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Reasons for which `enqueue` returns ``False``: the payload was never in the queue.
REFUSED = ("queue_full", "too_large", "invalid", "closed")
#: Reasons for which an enqueued payload is dropped.
LOST = ("rejected", "undeliverable", "shutdown")


@dataclass(frozen=True)
class Stats:
    """A sender's counts in this process, at one moment.

    ``enqueued == delivered + pending + dropped[rejected, undeliverable, shutdown]``
    always holds. The numbers count payloads, one for each `enqueue` call, except `requests`,
    `retries` and `additional_*`, which count requests, and `pending_bytes` and `bytes_sent`,
    which count bytes (`bytes_sent` those of bodies to primary endpoints).
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
