"""Run the benchmark: in turn, round by round; medians of ratios (tox -e bench).

Prints a table, and with ``--write`` puts it as JSON and as a picture into docs/.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contender import Contender
from intake import Intake, running_intake
from measures import MEASURES, Measure, Side
from picture import draw

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"


@dataclass(frozen=True)
class Row:
    """A measure's medians over all rounds; `ratio` is the median of the rounds' ratios."""

    measure: Measure
    ours: float
    other: float | None
    ratio: float
    spread: tuple[float, float]

    @property
    def missed(self) -> bool:
        return self.measure.aim is not None and self.ratio > self.measure.aim


class Bench:
    def __init__(self, intake: Intake, rounds: int) -> None:
        self._intake = intake
        self._rounds = rounds
        self._loops = 0.0

    def measure(self, measure: Measure) -> Row:
        # Alone, a figure is of a fresh process.
        rounds = self._rounds if measure.other else 1
        with self._contender() as ours, self._contender() as other:
            pairs = []
            for _ in range(rounds):
                first = self._figure(measure, ours, measure.ours)
                second = self._figure(measure, other, measure.other) if measure.other else None
                pairs.append((first, second))
        ratios = [first if second is None else first / second for first, second in pairs]
        seconds = [second for _, second in pairs if second is not None]
        return Row(
            measure,
            statistics.median(first for first, _ in pairs),
            statistics.median(seconds) if seconds else None,
            statistics.median(ratios),
            (min(ratios), max(ratios)),
        )

    def _figure(self, measure: Measure, contender: Contender, side: Side) -> float:
        places = {"URL": self._intake.url, "TLS": self._intake.tls_url}
        arguments = {
            name: places.get(value, value) if isinstance(value, str) else value
            for name, value in side.arguments.items()
        }
        if arguments.get("loops") == "LOOPS":
            if not self._loops:
                self._loops = contender.run("calibrate", {"seconds": 150e-6})["loops"]
            arguments["loops"] = int(self._loops)
        return contender.run(side.function, arguments)[measure.figure]

    @contextmanager
    def _contender(self) -> Iterator[Contender]:
        contender = Contender(self._intake)
        try:
            yield contender
        finally:
            contender.end()


def _shown_seconds(seconds: float) -> str:
    return f"{seconds * 1e6:.2f}µs"


def _shown_bytes(size: float) -> str:
    return f"{size / 2**20:.1f}MiB"


def table(rows: list[Row]) -> str:
    lines = [f"{'':62} {'ours':>10} {'other':>10} {'ratio':>7} {'min':>6} {'max':>6} {'aim':>6}"]
    group = ""
    for row in rows:
        if row.measure.group != group:
            group = row.measure.group
            lines.append(f"{group}")
        low, high = row.spread
        aim = "" if row.measure.aim is None else f"{row.measure.aim:.2f}"
        shown = _shown_bytes if row.measure.figure == "bytes" else _shown_seconds
        ours, other = (shown(row.ours), shown(row.other)) if row.other else ("", "")
        lines.append(
            f"  {row.measure.what:60} {ours:>10} {other:>10} {row.ratio:7.2f} {low:6.2f}"
            f" {high:6.2f} {aim:>6}{'  missed' if row.missed else ''}"
        )
    return "\n".join(lines)


def as_json(rows: list[Row], intake: Intake, rounds: int) -> dict[str, object]:
    names = "requests", "urllib3", "tenacity", "ddtrace"
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "intake": intake.name,
        "rounds": rounds,
        "versions": {name: importlib.metadata.version(name) for name in names},
        "rows": [
            {
                "group": row.measure.group,
                "what": row.measure.what,
                "ours": row.ours,
                "other": row.other,
                "against": row.measure.other.name if row.measure.other else None,
                "ratio": round(row.ratio, 3),
                "min": round(row.spread[0], 3),
                "max": round(row.spread[1], 3),
                "aim": row.measure.aim,
                "missed": row.missed,
            }
            for row in rows
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="of each comparison (9)")
    parser.add_argument("--only", default="", help="measures with this text in their names")
    parser.add_argument("--skip", default="", help="not those with this text in their names")
    parser.add_argument("--write", action="store_true", help="put the result into docs/")
    options = parser.parse_args()
    rows = []
    with running_intake() as intake:
        bench = Bench(intake, options.rounds)
        for measure in MEASURES:
            name = f"{measure.group}: {measure.what}"
            if options.only in name and not (options.skip and options.skip in name):
                rows.append(bench.measure(measure))
                print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    print(table(rows))
    if options.write:
        result = as_json(rows, intake, options.rounds)
        (DOCS / "benchmark.json").write_text(json.dumps(result, indent=1) + "\n")
        (DOCS / "benchmark.txt").write_text(table(rows) + "\n")
        (DOCS / "benchmark.svg").write_text(draw(rows))


if __name__ == "__main__":
    main()
