"""Two Pythons, or two checkouts, in turn, round by round; medians of ratios.

Each side is a command that starts contenders.py, with a name for the table:

    python compare.py "3.12=python3.12 contenders.py" "3.15=python3.15 contenders.py"
    python compare.py "before=env PYTHONPATH=../before python contenders.py" \\
                      "after=env PYTHONPATH=. python contenders.py"

A ratio is that of the second to the first: below 1 the second is faster.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
from typing import Any

from contender import Contender
from intake import running_intake

#: What is measured: the row's name, a function of contenders.py, its arguments, a figure.
ROWS: tuple[tuple[str, str, dict[str, Any], tuple[str, ...]], ...] = (
    ("enqueue, 1 KB", "enqueue", {"count": 2000, "size": 1024, "times": 25}, ("wall",)),
    ("whole way, 1 KB", "ours_whole_way", {"count": 20_000, "size": 1024}, ("cpu", "wall")),
    ("whole way, 20 KB", "ours_whole_way", {"count": 3000, "size": 20_480}, ("cpu", "wall")),
    ("one request, 1 KB", "ours_request", {"count": 400, "size": 1024}, ("cpu", "wall")),
    ("over TLS, 20 KB", "ours_whole_way", {"count": 3000, "size": 20_480}, ("cpu", "wall")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sides", nargs=2, metavar="NAME=COMMAND")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = [side.partition("=")[0] for side in options.sides]
    commands = [shlex.split(side.partition("=")[2]) for side in options.sides]
    print(f"{'':28} {names[0]:>12} {names[1]:>12} {'ratio':>7} {'min':>6} {'max':>6}")
    with running_intake() as intake:
        contenders = [Contender(intake, command) for command in commands]
        for row, function, arguments, figures in ROWS:
            url = intake.tls_url if "TLS" in row else intake.url
            rounds = [
                [one.run(function, {"url": url, **arguments}) for one in contenders]
                for _ in range(options.rounds)
            ]
            for figure in figures:
                pairs = [(first[figure], second[figure]) for first, second in rounds]
                print(_line(f"{row}, {figure}", pairs), flush=True)
        for contender in contenders:
            contender.end()


def _line(name: str, pairs: list[tuple[float, float]]) -> str:
    ratios = [second / first for first, second in pairs]
    first, second = (statistics.median(one) * 1e6 for one in zip(*pairs, strict=True))
    return (
        f"{name:28} {first:10.2f}µs {second:10.2f}µs {statistics.median(ratios):7.2f}"
        f" {min(ratios):6.2f} {max(ratios):6.2f}"
    )


if __name__ == "__main__":
    main()
