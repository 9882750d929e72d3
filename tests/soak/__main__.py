"""A long soak: `tox -e soak -- --seconds 600`.

All tracks, several threads, forks, signal handlers that raise, clocks that stand still, and
an intake in another process that misbehaves at random, now behind a proxy, now not. Ends with
0 if every payload is accounted for and memory was flat; else with 1, and says what is wrong.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import verdict
from load import BURST, CHILD_PAYLOADS, NOT_OFFERED, Load

from livedebug_sender import Endpoint, Sender, SenderConfig, Stats

SECONDS_BETWEEN_FORKS = 2.0
SECONDS_BETWEEN_BURSTS = 1.0
SECONDS_BETWEEN_FREEZES = 7.0
SECONDS_BETWEEN_ROUTES = 5.0
#: A host that only the proxy knows.
BEHIND_PROXY = "http://intake.test"
#: For what waits when the intake is well again; it is troubled meanwhile, too.
CLOSES_IN = 120.0


@dataclass
class Repeated:
    """Something that is done every so many seconds."""

    seconds: float
    act: Callable[[], None]

    def __post_init__(self) -> None:
        self._at = self.seconds

    def act_if_due(self, now: float) -> None:
        if now >= self._at:
            self._at += self.seconds
            self.act()


class IntakeProcess:
    def __init__(self, seed: int, ids: int) -> None:
        program = str(Path(__file__).with_name("intake.py"))
        self._process = subprocess.Popen(
            [sys.executable, program, str(seed), str(ids)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._ids = ids
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def finish(self) -> tuple[dict[str, int], bytes, bytes]:
        """Its counts, how often it took each id, and which it refused alone."""
        out, _ = self._process.communicate(timeout=60)
        counts, _, record = out.partition(b"\n")
        return json.loads(counts), record[: self._ids], record[self._ids :]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--rate", type=float, default=2500.0, help="payloads a second (2500)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the intake")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="This process .* is multi-threaded")
    print(f"{args.seconds:.0f} seconds, {args.rate:.0f} payloads a second, seed {args.seed}")
    summary = soak(args.seconds, args.rate, args.seed)
    print(as_text(summary))
    print(json.dumps(summary))
    return 1 if summary["wrong"] else 0


def soak(seconds: float, rate: float, seed: int) -> dict[str, Any]:
    ids, children = int(seconds * rate), int(seconds / SECONDS_BETWEEN_FORKS)
    bursts = int(seconds / SECONDS_BETWEEN_BURSTS)
    intake = IntakeProcess(seed, ids + children * CHILD_PAYLOADS + bursts * BURST)
    os.environ["http_proxy"] = intake.url
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"
    config = SenderConfig()
    routes = itertools.cycle((intake.url, BEHIND_PROXY))
    turn(config, next(routes))
    sender = Sender(config, max_payload_bytes=65_536, recheck_after=3.0)
    load = Load(sender, ids, children, bursts)
    samples = run(load, rate, seconds, lambda: turn(config, next(routes)))
    closed = load.sender.close(CLOSES_IN)
    load.reap(wait=True)
    stats = load.sender.stats()
    counts, taken, refused_alone = intake.finish()
    levels = verdict.memory(samples)
    wrong = [] if closed else [f"close() was False after at most {CLOSES_IN} seconds"]
    wrong += verdict.accounts(stats, load, taken, refused_alone) + verdict.grown(levels, seconds)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "python": sys.version.split()[0],
        "offered": len(load.fates) - load.fates.count(NOT_OFFERED) + load.hopeless.total(),
        "stats": as_dict(stats),
        "handlers that raised": load.struck,
        "clocks frozen": load.frozen,
        "children": children_of(load),
        "arrived": sum(count > 0 for count in taken),
        "duplicates": sum(count - 1 for count in taken if count),
        "intake": dict(sorted(counts.items())),
        "memory": levels,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "wrong": wrong,
    }


def turn(config: SenderConfig, url: str) -> None:
    """From now on requests go there."""
    config.set_endpoint(Endpoint(url, timeout=1.0))
    config.set_symdb_endpoint(Endpoint(url, timeout=1.0))


def run(
    load: Load, rate: float, seconds: float, next_route: Callable[[], None]
) -> list[tuple[float, float]]:
    """Let the load run, with what happens now and then; sample the memory (seconds, MiB)."""
    began = time.monotonic()
    now_and_then = [
        Repeated(SECONDS_BETWEEN_FORKS, load.fork),
        Repeated(SECONDS_BETWEEN_BURSTS, load.enqueue_under_a_timer),
        Repeated(SECONDS_BETWEEN_FREEZES, load.flush_with_frozen_clocks),
        Repeated(SECONDS_BETWEEN_ROUTES, next_route),
    ]
    samples = []
    load.start(rate)
    try:
        while (passed := time.monotonic() - began) < seconds:
            samples.append((passed, resident()))
            for each in now_and_then:
                each.act_if_due(passed)
            load.reap()
            time.sleep(0.25)
    finally:
        load.stop()
    return samples


def resident() -> float:
    """MiB of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def as_dict(stats: Stats) -> dict[str, Any]:
    return {**vars(stats), "dropped": {k: v for k, v in stats.dropped.items() if v}}


def children_of(load: Load) -> dict[str, int]:
    totals: Counter[str] = Counter({"forked": len(load.reports)})
    for _, report in load.reports:
        if report is not None:
            totals["offered"] += len(report["fates"])
            totals["delivered"] += report["delivered"]
            totals["rejected"] += report["dropped"].get("rejected", 0)
    return dict(totals)


def as_text(summary: dict[str, Any]) -> str:
    lines = []
    for name, value in summary.items():
        if isinstance(value, dict):
            lines += [f"{name}: {one} = {number}" for one, number in value.items()]
        elif name != "wrong":
            lines.append(f"{name} = {value}")
    lines += [f"WRONG: {words}" for words in summary["wrong"]]
    lines.append("" if summary["wrong"] else "Every payload is accounted for; memory was flat.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
