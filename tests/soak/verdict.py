"""Does every payload of a soak have its place in the accounts, and was memory flat?"""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from load import BAD, GOOD, INTERRUPTED, REFUSED, Load

from livedebug_sender import Stats

#: MiB by which the sender's process may grow from the second quarter to the last one.
MAY_GROW = 8.0
#: In a run too short to have met every trouble in each quarter: a queue that was never full
#: before may fill up. Hence 1.4 times `max_queue_bytes`, and 25 MB.
LONG = 300.0
MAY_GROW_IN_SHORT = 1.4 * 32 + 25


_FATES = ("never offered", "good", "bad", "refused by enqueue", "interrupted")


def accounts(stats: Stats, load: Load, taken: bytes, refused_alone: bytes) -> list[str]:
    """What doesn't add up, in words; empty if all does."""
    wrong: list[str] = []

    def same(what: str, found: object, wanted: object) -> None:
        if found != wanted:
            wrong.append(f"{what}: {found}, but {wanted} wanted")

    own = [*range(load.ids), *range(load.first_of_burst(0), load.all_ids)]
    fates = Counter(load.fates[one] for one in own)
    # A payload whose `enqueue` was interrupted is in the accounts if it was put, and only then.
    put = sum(1 for one in own if load.fates[one] == INTERRUPTED and taken[one])
    same("enqueued", stats.enqueued, fates[GOOD] + fates[BAD] + put)
    same("delivered", stats.delivered, fates[GOOD] + put)
    same("pending", stats.pending, 0)
    same("pending bytes", stats.pending_bytes, 0)
    dropped = Counter({"rejected": fates[BAD]}) + load.hopeless
    found = {k: v for k, v in stats.dropped.items() if v and k != "queue_full"}
    same("dropped", found, dict(dropped))
    # It may also have been interrupted once it was counted as refused.
    full, more = stats.dropped.get("queue_full", 0), fates[INTERRUPTED] - put
    if not fates[REFUSED] <= full <= fates[REFUSED] + more:
        wrong.append(f"queue_full: {full}, but {fates[REFUSED]} and at most {more} more wanted")
    for status, report in load.reports:
        if status or report is None:
            wrong.append(f"a child ended with {status}")
        else:
            wrong += [f"child {report['number']}: {words}" for words in _child(report)]
    everywhere = zip(load.fates, taken, refused_alone, strict=True)
    places = Counter((fate, count > 0, alone > 0) for fate, count, alone in everywhere)
    for (fate, arrived, refused), count in places.items():
        if fate == INTERRUPTED and not refused:
            continue
        if (arrived, refused) != {GOOD: (True, False), BAD: (False, True)}.get(
            fate, (False, False)
        ):
            name = _FATES[fate]
            wrong.append(f"{count} payloads were {name}, but {arrived=}, {refused=}")
    return wrong


def _child(report: dict[str, Any]) -> list[str]:
    fates = Counter(report["fates"])
    wanted = {"rejected": fates[BAD], "queue_full": fates[REFUSED]}
    checks = {
        "its counters did not start at zero": report["fresh"],
        "close() was False": report["closed"],
        f"delivered {report['delivered']} of {fates[GOOD]}": report["delivered"] == fates[GOOD],
        f"dropped {report['dropped']}": Counter(report["dropped"]) == Counter(wanted),
        f"{report['pending']} pending": report["pending"] == 0,
    }
    return [words for words, fine in checks.items() if not fine]


def memory(samples: list[tuple[float, float]]) -> dict[str, float]:
    """Of (seconds, MiB): the levels of the second and last quarter, and the slope between.

    The first quarter is the warming up; the slope is a least-squares line through the rest.
    """
    quarter = len(samples) // 4
    rest = samples[quarter:]
    slope = statistics.linear_regression([t for t, _ in rest], [m for _, m in rest]).slope
    return {
        "second_quarter_mib": round(statistics.median(m for _, m in rest[:quarter]), 1),
        "last_quarter_mib": round(statistics.median(m for _, m in rest[-quarter:]), 1),
        "most_mib": round(max(m for _, m in samples), 1),
        "slope_mib_per_minute": round(slope * 60, 3),
    }


def grown(levels: dict[str, float], seconds: float) -> list[str]:
    growth = levels["last_quarter_mib"] - levels["second_quarter_mib"]
    most = MAY_GROW if seconds >= LONG else MAY_GROW_IN_SHORT
    return [f"memory grew by {growth:.1f} MiB, {most:.0f} at most wanted"] * (growth > most)
