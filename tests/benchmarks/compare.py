"""Pythons, or checkouts, in turn, round by round; medians of ratios to the first.

Each side is a command that starts contenders.py, with a name for the table:

    python compare.py "3.12=python3.12 contenders.py" "3.15=python3.15 contenders.py"
    python compare.py "before=env PYTHONPATH=../before python contenders.py" \\
                      "after=env PYTHONPATH=. python contenders.py"

A ratio is that of a side to the first: below 1 the side is faster. Rows that begin with a star
are no code of ours: where they are slower too, it is the Python that is.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
from typing import Any

from contender import Contender
from intake import running_intake

_CALLS = {"count": 2000, "size": 1024, "times": 25}
_SYMDB = {"count": 400, "size": 1024}

#: What is measured: the row's name, a function of contenders.py, its arguments, figures.
ROWS: tuple[tuple[str, str, dict[str, Any], tuple[str, ...]], ...] = (
    ("enqueue, 1 KB", "enqueue", _CALLS, ("wall",)),
    ("enqueue, mapping", "enqueue_mapping", {"count": 500, "times": 25}, ("wall",)),
    ("* queue.Queue, 1 KB", "put_nowait", _CALLS, ("wall",)),
    ("* json.dumps", "encode_mapping", {"count": 500, "times": 25}, ("wall",)),
    ("whole way, 1 KB", "ours_whole_way", {"count": 20_000, "size": 1024}, ("cpu", "wall")),
    ("whole way, 20 KB", "ours_whole_way", {"count": 3000, "size": 20_480}, ("cpu", "wall")),
    ("over TLS, 20 KB", "ours_whole_way", {"count": 3000, "size": 20_480}, ("cpu", "wall")),
    ("one request, 1 KB", "ours_request", _SYMDB, ("cpu", "wall")),
    ("* requests.Session, 1 KB", "session_post", _SYMDB, ("cpu", "wall")),
    ("import", "import_cost", {"times": 3}, ("cpu", "requests")),
)
#: Functions that need no intake.
_ALONE = ("put_nowait", "encode_mapping", "import_cost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sides", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows with this in their names")
    options = parser.parse_args()
    names = [side.partition("=")[0] for side in options.sides]
    commands = [shlex.split(side.partition("=")[2]) for side in options.sides]
    print(_head(names))
    with running_intake() as intake:
        contenders = [Contender(intake, command) for command in commands]
        for row, function, arguments, figures in ROWS:
            if options.only not in row:
                continue
            url = intake.tls_url if "TLS" in row else intake.url
            given = arguments if function in _ALONE else {"url": url, **arguments}
            rounds = [
                [one.run(function, given) for one in contenders] for _ in range(options.rounds)
            ]
            for figure in figures:
                values = [[side[figure] for side in one] for one in rounds]
                print(_line(f"{row}, {figure}", values), flush=True)
        for contender in contenders:
            contender.end()


def _head(names: list[str]) -> str:
    ratios = "".join(f"{name:>10} {'min':>6} {'max':>6}" for name in names[1:])
    return f"{'':32}" + "".join(f"{name:>13}" for name in names) + f"   ratio:{ratios}"


def _line(name: str, rounds: list[list[float]]) -> str:
    """A row: the sides' medians, and for each but the first the ratio to it."""
    sides = list(zip(*rounds, strict=True))
    line = f"{name:32}" + "".join(f"{statistics.median(side) * 1e6:11.2f}µs" for side in sides)
    line += " " * 9
    for side in sides[1:]:
        ratios = [one / first for one, first in zip(side, sides[0], strict=True)]
        line += f"{statistics.median(ratios):10.2f} {min(ratios):6.2f} {max(ratios):6.2f}"
    return line


if __name__ == "__main__":
    main()
