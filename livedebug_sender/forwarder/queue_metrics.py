"""What a queue shows of itself in the metrics: pure."""

from __future__ import annotations

from collections.abc import Iterator

from .published import Family
from .queue.request_queue import QueueStats

COUNTER = "counter"
GAUGE = "gauge"


def queue_families(stats: QueueStats) -> Iterator[Family]:
    """All families of a queue; each process may have a part of it."""
    rows: tuple[tuple[str, str, str, float | None, str], ...] = (
        ("queue_items", GAUGE, "Stored requests that wait or are under way.", stats.items, "sum"),
        ("queue_bytes", GAUGE, "Bytes of them; on a disk of its files.", stats.bytes, "sum"),
        ("queue_limit_bytes", GAUGE, "The bound of these bytes.", stats.limit, "sum"),
        ("queue_fullness", GAUGE, "The largest share of any bound.", stats.fullness, "max"),
        ("queue_oldest_seconds", GAUGE, "Age of the oldest.", stats.oldest_age or 0.0, "max"),
        ("queue_free_disk_bytes", GAUGE, "What the disk has left.", stats.free_disk, "min"),
        ("queue_dead_items", GAUGE, "Dead letters that are kept.", stats.dead_items, "max"),
        ("queue_dead_bytes", GAUGE, "Bytes of them.", stats.dead_bytes, "max"),
        ("queue_commits", COUNTER, "Times that puts were made safe.", stats.commits, "sum"),
        ("queue_commit_seconds", COUNTER, "Seconds that took.", stats.commit_seconds, "sum"),
        ("queue_redelivered", COUNTER, "Requests taken once more.", stats.redelivered, "sum"),
        ("queue_expired", COUNTER, "Requests dropped for their age.", stats.expired, "sum"),
        ("queue_set_aside", COUNTER, "Damaged parts put aside.", stats.set_aside, "sum"),
        ("queue_errors", COUNTER, "Errors of the disk or the broker.", stats.errors, "sum"),
    )
    for name, kind, words, value, combine in rows:
        if value is not None:
            yield Family(name, kind, words, "", {"": value}, combine)
    dead = {reason: float(count) for reason, count in stats.dead.items()}
    yield Family("queue_dead", COUNTER, "Requests refused for good.", "reason", dead)
