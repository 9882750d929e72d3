"""What was measured, as rows: kept in docs/benchmark.json, shown as tables.

A run of some measures replaces their rows; the others stay as they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measures import FORWARDER_MODES, FORWARDER_SIZES, MEASURES, Measure, forwarder_what


@dataclass(frozen=True)
class Row:
    """A measure's medians over all rounds.

    Attributes:
        figure: what `ours` and `other` are: ``"bytes"``, else seconds.
        against: the other's name; None: there is none, and the ratio is the figure itself.
        ratio: the median of the rounds' ratios, of which `min` and `max` are the ends.
    """

    group: str
    what: str
    figure: str
    ours: float
    other: float | None
    against: str | None
    ratio: float
    min: float
    max: float
    aim: float | None
    rounds: int

    @property
    def missed(self) -> bool:
        return self.aim is not None and self.ratio > self.aim


def name_of(one: Measure | Row) -> tuple[str, str]:
    return one.group, one.what


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """One row for each measure, in their order: the new one, or what there was."""
    rows = {name_of(row): row for row in (*old, *new)}
    return [rows[name_of(measure)] for measure in MEASURES if name_of(measure) in rows]


def kept_rows(path: Path) -> list[Row]:
    """The rows of a file that `write` wrote; those of measures that are gone are left out."""
    if not path.exists():
        return []
    kept = json.loads(path.read_text())
    figures = {name_of(measure): measure.figure for measure in MEASURES}
    rows = []
    for told in kept["rows"]:
        told.pop("missed")
        figure = figures.get((told["group"], told["what"]))
        if figure is not None:
            rows.append(Row(**{"rounds": kept.get("rounds"), **told, "figure": figure}))
    return rows


def write(path: Path, rows: Sequence[Row], conditions: dict[str, Any]) -> None:
    told = [{**asdict(row), "missed": row.missed} for row in rows]
    path.write_text(json.dumps({**conditions, "rows": told}, indent=1) + "\n")


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'':62} {'ours':>10} {'other':>10} {'ratio':>7} {'min':>6} {'max':>6} {'aim':>6}"]
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            lines.append(f"{group}")
        aim = "" if row.aim is None else f"{row.aim:.2f}"
        ours, other = ("", "") if row.other is None else (_shown(row, row.ours), _other(row))
        lines.append(
            f"  {row.what:60} {ours:>10} {other:>10} {row.ratio:7.2f} {row.min:6.2f}"
            f" {row.max:6.2f} {aim:>6}{'  missed' if row.missed else ''}"
        )
    return "\n".join(lines)


_HEAD = """\
.. list-table::
   :header-rows: 1
   :widths: 28 18 18 18 18

"""


def forwarder_tables(rows: Sequence[Row], conditions: str) -> str:
    """The rows of the forwarder as tables for the docs: ratios, their least and their most."""
    by_what = {row.what: row for row in rows if row.group == "forwarder"}
    cells = [(size, clients) for size in FORWARDER_SIZES for clients in (1, 8)]
    parts = []
    for figure, title in (
        ("wall", "Time a request, ours over the Agent's"),
        ("p99", "99th percentile of the time, ours over the Agent's"),
    ):
        head = [
            "",
            *(f"{size} KB, {clients} client{'s' * (clients > 1)}" for size, clients in cells),
        ]
        lines = [head]
        for mode in FORWARDER_MODES:
            found = [by_what.get(forwarder_what(mode, *cell, figure)) for cell in cells]
            lines.append([mode, *(_ratio(row) for row in found)])
        parts.append(f"{title}:\n\n{_HEAD}{_list_table(lines)}")
    lines = [["", "ours", "the Agent", "ratio"]]
    for mode in FORWARDER_MODES:
        row = by_what.get(forwarder_what(mode, 200, 8, "bytes"))
        if row is not None:
            lines.append([mode, _shown(row, row.ours), _other(row), _ratio(row)])
    parts.append(
        "Memory after 10,000 requests of 200 KB by 8 clients:\n\n"
        + _HEAD.replace("28 18 18 18 18", "28 18 18 36")
        + _list_table(lines)
    )
    rounds = sorted({row.rounds for row in by_what.values()})
    told = " or ".join(map(str, rounds))
    about = f"Medians of {told} rounds, and the least and the most of them; {conditions}."
    return "\n".join([about, "", *parts])


def _list_table(lines: list[list[str]]) -> str:
    shown = [f"   {'  -' if n else '* -'} {cell}" for line in lines for n, cell in enumerate(line)]
    return "\n".join(line.rstrip() for line in shown) + "\n"


def _ratio(row: Row | None) -> str:
    return "" if row is None else f"**{row.ratio:.2f}** ({row.min:.2f} to {row.max:.2f})"


def _shown(row: Row, figure: float) -> str:
    return f"{figure / 2**20:.1f}MiB" if row.figure == "bytes" else f"{figure * 1e6:.2f}µs"


def _other(row: Row) -> str:
    return "" if row.other is None else _shown(row, row.other)
