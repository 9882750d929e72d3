"""Assigns partitions to routes."""

from __future__ import annotations

from collections.abc import Sequence


def by_route(routes: Sequence[str], partitions: int) -> dict[str, list[int]]:
    """Give each route its own partitions, so that a blocked route does not block others.

    With fewer partitions than routes, some share one. Adding partitions later does not change
    the assignment of existing ones.
    """
    count = len(routes)
    return {
        route: [n for n in range(partitions) if n % count == place] or [place % partitions]
        for place, route in enumerate(routes)
    }
