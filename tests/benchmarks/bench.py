"""Run the benchmark: in turn, round by round; medians of ratios (tox -e bench).

Prints a table, and with ``--write`` puts it as JSON, as text and as a picture into docs/; what
was not measured stays there as it was.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from contender import Contender
from intake import Intake, running_intake
from measures import MEASURES, Measure, Side
from picture import draw
from registry import Figures
from results import Row, forwarder_tables, kept_rows, merged, table, write

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"


class Bench:
    def __init__(self, intake: Intake, rounds: int) -> None:
        self._intake = intake
        self._rounds = rounds
        self._loops = 0.0

    def measure(self, measures: Sequence[Measure]) -> list[Row]:
        """Rows of measures that have the same sides."""
        ours, other = measures[0].ours, measures[0].other
        # Alone, a figure is of a fresh process.
        rounds = self._rounds if other else 1
        pairs: list[tuple[Figures, Figures]] = []
        with self._contender() as one, self._contender() as another:
            for _ in range(rounds):
                first = self._figures(one, ours)
                pairs.append((first, self._figures(another, other) if other else {}))
        return [self._row(measure, pairs) for measure in measures]

    def _row(self, measure: Measure, pairs: list[tuple[Figures, Figures]]) -> Row:
        ours = [first[measure.figure] for first, _ in pairs]
        others = [second[measure.figure] for _, second in pairs] if measure.other else []
        ratios = [a / b for a, b in zip(ours, others, strict=True)] if others else ours
        return Row(
            measure.group,
            measure.what,
            measure.figure,
            statistics.median(ours),
            statistics.median(others) if others else None,
            measure.other.name if measure.other else None,
            round(statistics.median(ratios), 3),
            round(min(ratios), 3),
            round(max(ratios), 3),
            measure.aim,
            len(pairs),
        )

    def _figures(self, contender: Contender, side: Side) -> Figures:
        places = {"URL": self._intake.url, "TLS": self._intake.tls_url}
        arguments = {
            name: places.get(value, value) if isinstance(value, str) else value
            for name, value in side.arguments.items()
        }
        if arguments.get("loops") == "LOOPS":
            if not self._loops:
                self._loops = contender.run("calibrate", {"seconds": 150e-6})["loops"]
            arguments["loops"] = int(self._loops)
        return contender.run(side.function, arguments)

    @contextmanager
    def _contender(self) -> Iterator[Contender]:
        contender = Contender(self._intake)
        try:
            yield contender
        finally:
            contender.end()


def conditions(intake: Intake, rounds: int) -> dict[str, Any]:
    """Of this run; rows that it did not measure may be of another."""
    versions = {}
    for name in ("requests", "urllib3", "tenacity", "ddtrace"):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "intake": intake.name,
        "load": round(os.getloadavg()[0], 1),
        "rounds": rounds,
        "versions": versions,
    }


def write_docs(new: list[Row], told: dict[str, Any]) -> None:
    rows = merged(kept_rows(DOCS / "benchmark.json"), new)
    write(DOCS / "benchmark.json", rows, told)
    (DOCS / "benchmark.txt").write_text(table(rows) + "\n")
    (DOCS / "benchmark.svg").write_text(draw(rows))
    if any(row.group == "forwarder" for row in new):
        words = (
            f"Python {told['python']}, {told['cores']} cores, {told['intake']} as the intake, "
            f"a load average of {told['load']} before"
        )
        (DOCS / "benchmark_forwarder.txt").write_text(forwarder_tables(rows, words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="of each comparison (9)")
    parser.add_argument("--only", default="", help="measures with this text in their names")
    parser.add_argument("--skip", default="", help="not those with this text in their names")
    parser.add_argument("--write", action="store_true", help="put the result into docs/")
    options = parser.parse_args()
    wanted = [
        measure
        for measure in MEASURES
        if options.only in (name := f"{measure.group}: {measure.what}")
        and not (options.skip and options.skip in name)
    ]
    rows: list[Row] = []
    with running_intake() as intake:
        told = conditions(intake, options.rounds)
        bench = Bench(intake, options.rounds)
        for _, together in groupby(wanted, key=lambda measure: (measure.ours, measure.other)):
            rows += bench.measure(list(together))
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    print(table(rows))
    if options.write:
        write_docs(rows, told)


if __name__ == "__main__":
    main()
