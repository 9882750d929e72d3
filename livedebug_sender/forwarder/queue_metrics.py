"""The metrics of a queue, without I/O."""

from __future__ import annotations

from collections.abc import Iterator

from .published import Family
from .queue.request_queue import QueueStats

COUNTER = "counter"
GAUGE = "gauge"


def queue_families(stats: QueueStats) -> Iterator[Family]:
    """All metric families of a queue, of which each process may hold a part."""
    rows: tuple[tuple[str, str, str, float | None, str], ...] = (
        ("queue_items", GAUGE, "Stored requests, waiting or in flight.", stats.items, "sum"),
        ("queue_bytes", GAUGE, "Their size; on disk that of the files.", stats.bytes, "sum"),
        ("queue_limit_bytes", GAUGE, "The limit of that size.", stats.limit, "sum"),
        ("queue_fullness", GAUGE, "The largest used share of a limit.", stats.fullness, "max"),
        ("queue_oldest_seconds", GAUGE, "Age of the oldest.", stats.oldest_age or 0.0, "max"),
        ("queue_free_disk_bytes", GAUGE, "Free space of the disk.", stats.free_disk, "min"),
        ("queue_dead_items", GAUGE, "Dead letters that are kept.", stats.dead_items, "max"),
        ("queue_dead_bytes", GAUGE, "Their size.", stats.dead_bytes, "max"),
        ("queue_commits", COUNTER, "Commits of new requests.", stats.commits, "sum"),
        ("queue_commit_seconds", COUNTER, "Duration of commits.", stats.commit_seconds, "sum"),
        ("queue_redelivered", COUNTER, "Requests delivered again.", stats.redelivered, "sum"),
        ("queue_expired", COUNTER, "Requests dropped for their age.", stats.expired, "sum"),
        ("queue_set_aside", COUNTER, "Damaged parts set aside.", stats.set_aside, "sum"),
        ("queue_errors", COUNTER, "Errors of the disk or the broker.", stats.errors, "sum"),
    )
    for name, kind, words, value, combine in rows:
        if value is not None:
            yield Family(name, kind, words, "", {"": value}, combine)
    dead = {reason: float(count) for reason, count in stats.dead.items()}
    yield Family("queue_dead", COUNTER, "Requests refused permanently.", "reason", dead)
