"""A fleet of senders whose intake goes away and returns: how many requests arrive when?

The intake's answers depend on the time alone, so each sender lives its life by itself,
on a clock of its own, with the library's own policy: linger, batches, backoff.

    python tests/fleet/simulation.py [--senders 10000] [--write]        (tox -e fleet)
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from livedebug_sender.delivery.backoff import LONGEST
from livedebug_sender.delivery.retry import retry_until
from livedebug_sender.options import Options

DOCS = Path(__file__).parent.parent.parent / "docs"
OPTIONS = Options()


@dataclass(frozen=True)
class Outage:
    """Seconds of the simulation."""

    starts: float = 120.0
    ends: float = 420.0
    until: float = 600.0
    #: Does the intake tell everybody, while it is down, when it will be back?
    told: bool = False

    def answers(self, moment: float) -> bool:
        return not self.starts <= moment < self.ends

    def retry_after(self, moment: float) -> float | None:
        return math.ceil(self.ends - moment) if self.told else None


class SimulatedSender:
    """One track of a sender that gets a payload every `every` seconds."""

    def __init__(self, every: float, outage: Outage) -> None:
        self._every = every
        self._outage = outage
        self._now = random.uniform(0, every)
        self._next_payload = self._now
        self.requests: list[float] = []

    def live(self) -> list[float]:
        """The moments at which its requests reach the intake."""
        while self._now < self._outage.until:
            # Wait for a first payload, linger for company, take what there is.
            self._now = max(self._now, self._next_payload) + OPTIONS.linger
            waiting = int((self._now - self._next_payload) / self._every) + 1
            self._next_payload += min(waiting, OPTIONS.max_batch_items) * self._every
            retry_until(
                self._attempt,
                should_retry=lambda delivered: not delivered,
                retry_after=lambda delivered: self._outage.retry_after(self._now),
                give_up_at=self._now + OPTIONS.retry_for,
                shutdown_deadline=lambda: None,
                wait=self._pass,
                clock=lambda: self._now,
            )
        return self.requests

    def _attempt(self) -> bool:
        self.requests.append(self._now)
        return self._outage.answers(self._now)

    def _pass(self, seconds: float) -> None:
        self._now += seconds


@dataclass(frozen=True)
class Curve:
    """Requests of the whole fleet, by second."""

    every: float
    by_second: list[int]
    outage: Outage

    @property
    def steady(self) -> float:
        """Requests a second before the outage."""
        before = self.by_second[20 : int(self.outage.starts) - 1]
        return sum(before) / len(before)

    @property
    def peak(self) -> int:
        """The most requests in a second after the intake's return."""
        return max(self.by_second[int(self.outage.ends) :])

    @property
    def ratio(self) -> float:
        return self.peak / self.steady


def simulate(senders: int, every: float, outage: Outage = Outage()) -> Curve:
    arrived: Counter[int] = Counter()
    for _ in range(senders):
        arrived.update(int(moment) for moment in SimulatedSender(every, outage).live())
    return Curve(every, [arrived[second] for second in range(int(outage.until))], outage)


def draw(curve: Curve) -> str:
    """The curve as SVG: requests a second over the minutes."""
    width, height, left, right, bottom = 760, 260, 60, 740, 40
    top = max(curve.by_second) * 1.1
    across = (right - left) / len(curve.by_second)

    def x(second: float) -> float:
        return left + second * across

    def y(requests: float) -> float:
        return 20 + (height - 20 - bottom) * (1 - requests / top)

    points = " ".join(f"{x(s):.1f},{y(n):.1f}" for s, n in enumerate(curve.by_second))
    start, end = x(curve.outage.starts), x(curve.outage.ends)
    minutes = "".join(
        f'<text x="{x(second):.0f}" y="{height - 18}" text-anchor="middle">{second // 60}</text>'
        for second in range(0, len(curve.by_second) + 1, 60)
    )
    levels = "".join(
        f'<text x="{left - 8}" y="{y(level) + 4:.0f}" text-anchor="end">{level:,.0f}</text>'
        f'<line class="level" x1="{left}" x2="{right}" y1="{y(level):.0f}" y2="{y(level):.0f}"/>'
        for level in (0, curve.steady, 3 * curve.steady)
        if level < top
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"
 viewBox="0 0 {width} {height}" role="img" aria-label="Requests a second around an outage">
<style>text {{ font: 12px system-ui, sans-serif; fill: #333 }} .level {{ stroke: #bbb }}
.out {{ fill: #d1495b; opacity: .12 }} .curve {{ fill: none; stroke: #2a6f9d }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} .level {{ stroke: #555 }} }}</style>
<rect class="out" x="{start:.0f}" y="20" width="{end - start:.0f}" height="{height - 20 - bottom}"/>
<text x="{(start + end) / 2:.0f}" y="34" text-anchor="middle">the intake is down</text>
{levels}{minutes}<text x="{width / 2}" y="{height - 2}" text-anchor="middle">minutes</text>
<polyline class="curve" points="{points}"/></svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--senders", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="put the curve into docs/")
    options = parser.parse_args()
    random.seed(1)
    loads = [(1.0, False), (5.0, False), (15.0, False), (1.0, True), (5.0, True)]
    curves = [simulate(options.senders, every, Outage(told=told)) for every, told in loads]
    lines = [
        f"{options.senders:,} senders, 5 minutes of outage, at most {LONGEST:g} s between tries",
        f"{'a payload every':>16} {'Retry-After':>12} {'steady/s':>9} {'peak/s':>9} {'ratio':>6}",
    ]
    for curve in curves:
        told = "the return" if curve.outage.told else "none"
        lines.append(
            f"{curve.every:14g} s {told:>12} {curve.steady:9.0f} {curve.peak:9} {curve.ratio:6.2f}"
        )
    print("\n".join(lines))
    if options.write:
        (DOCS / "fleet.svg").write_text(draw(curves[0]))
        (DOCS / "fleet.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
