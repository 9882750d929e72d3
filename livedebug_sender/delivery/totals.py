"""The counts of all tracks, as one `Stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..stats import LOST, Stats
from .ledger import Ledger


def stats_of(
    refused: Counter[str], ledgers: Iterable[Ledger], held_bytes: int, additional: tuple[int, int]
) -> Stats:
    """The counts add up by construction: `enqueued` is computed as the sum of the outcomes.

    Args:
        refused: payloads that were never in a queue, by reason.
        held_bytes: bytes that count towards the limits; meaningless if nothing is pending.
        additional: requests to additional endpoints, delivered and failed.
    """
    dropped = Counter(refused)
    delivered = pending = requests = retries = bytes_sent = 0
    for ledger in ledgers:
        state, held = ledger.look()
        delivered += state.delivered
        pending += held
        dropped.update(state.lost)
        requests += ledger.requests.made
        retries += ledger.requests.retried
        bytes_sent += ledger.requests.bytes_sent
    return Stats(
        enqueued=delivered + pending + sum(dropped[reason] for reason in LOST),
        delivered=delivered,
        dropped=dropped,
        pending=pending,
        pending_bytes=held_bytes if pending else 0,
        requests=requests,
        retries=retries,
        bytes_sent=bytes_sent,
        additional_delivered=additional[0],
        additional_failed=additional[1],
    )
