"""Which route's requests go to which partitions: pure."""

from __future__ import annotations

from collections.abc import Sequence


def by_route(routes: Sequence[str], partitions: int) -> dict[str, list[int]]:
    """Each route has partitions of its own, so that one that is held up holds up no other.

    With fewer partitions than routes, some share one. More partitions later leave those
    that there are where they were.
    """
    count = len(routes)
    return {
        route: [n for n in range(partitions) if n % count == place] or [place % partitions]
        for place, route in enumerate(routes)
    }
