"""A power cut at the calls of a run of the disk queue: nothing that was confirmed is lost.

``python tests/soak/queue_power_cuts.py --cuts 300``: a queue is filled and emptied by
several threads while each call to the disk is recorded; then the disk is cut off after so
many of these calls (0: each), three times each, with none, half and all of what was not
synced, and opened again. Ends with 1 if anything is missing.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from crashed_queues import opened, taken_from  # noqa: E402
from power_cuts import Call, Disk, compiled, preloaded, read_calls  # noqa: E402
from waiting import until  # noqa: E402

WORKLOAD = """
import os, random, sys, threading
from pathlib import Path
from crashed_queues import opened
from queue_kinds import ROUTE, a_request
folder, requests = Path(sys.argv[1]), int(sys.argv[2])
queue = opened(folder / "queue", max_bytes=4_000_000)
marks = os.open(folder / "marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def put(seed):
    choices = random.Random(seed)
    for n in range(requests // 4):
        name = b"%d-%d" % (seed, n)
        size = choices.choice((10, 300, 5000, 40_000))
        queue.put(a_request(name + b" " + choices.randbytes(size)))
        os.write(marks, b"put " + name + b"\\n")
def take():
    choices = random.Random(9)
    while taken := queue.take(ROUTE, 1):
        name = taken.request.body.split(b" ", 1)[0]
        what = choices.random()
        if what < 0.1:
            queue.release(taken, 0.05)
        elif what < 0.2:
            queue.bury(taken, "HTTP 400")
        elif what < 0.9:
            os.write(marks, b"acknowledge " + name + b"\\n")
            queue.acknowledge(taken)
threads = [threading.Thread(target=put, args=[seed]) for seed in range(4)]
threads.append(threading.Thread(target=take))
[one.start() for one in threads]
[one.join() for one in threads]
queue.close(10)
"""


def recorded(work: Path, requests: int) -> tuple[Path, list[Call]] | None:
    library = compiled(work)
    if library is None:
        return None
    folder, log = work / "disk", work / "log"
    folder.mkdir()
    environment = preloaded(library, folder, log)
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
    command = [sys.executable, "-c", WORKLOAD, str(folder), str(requests)]
    subprocess.run(command, env=environment, check=True)
    return folder, read_calls(log)


def try_cuts(work: Path, requests: int, cuts: int, seed: int) -> dict[str, object]:
    """Record, cut, open; what came of it."""
    found = recorded(work, requests)
    if found is None:
        return {}
    folder, calls = found
    choices = random.Random(seed)
    places = range(len(calls))
    if cuts:
        places = sorted(choices.sample(places, min(cuts, len(calls))))  # type: ignore[assignment]
    disk = Disk()
    wanted = set(places)
    confirmed: set[bytes] = set()
    done: set[bytes] = set()
    lost: list[str] = []
    opens = again = 0
    slowest = 0.0
    for place, call in enumerate(calls):
        if call.path == str(folder / "marks"):
            if call.name == "write":
                what, name = call.data.split()
                (confirmed if what == b"put" else done).add(name)
        else:
            disk.do(call)
        if place not in wanted:
            continue
        for share in (0.0, 0.5, 1.0):
            into = work / "cut"
            shutil.rmtree(into, ignore_errors=True)
            disk.cut(into, choices, share)
            arrived, seconds = _arrived(into / str(folder).lstrip("/"), confirmed - done)
            slowest = max(slowest, seconds)
            opens += 1
            again += len(arrived & done)
            for name in confirmed - done - arrived:
                lost.append(f"{name.decode()} at {place} ({call.name}), {share}")
    kinds = {name: sum(call.name == name for call in calls) for name in ("write", "sync", "unlink")}
    return {
        "calls": len(calls),
        **kinds,
        "cuts": opens,
        "confirmed": len(confirmed),
        "lost": len(lost),
        "which": lost[:5],
        "delivered again": again,
        "slowest open": round(slowest, 2),
    }


def _arrived(folder: Path, needed: set[bytes]) -> tuple[set[bytes], float]:
    """The names of all that a queue there gives, dead letters included."""
    begun = time.monotonic()
    queue = opened(folder / "queue")
    seconds = time.monotonic() - begun
    arrived: set[bytes] = set()

    def all_came() -> bool:
        arrived.update(one.body.split(b" ", 1)[0] for one in taken_from(queue, patience=0.02))
        arrived.update(_dead(folder))
        return needed <= arrived

    until(all_came)
    queue.close(5)
    return arrived, seconds


def _dead(folder: Path) -> set[bytes]:
    from livedebug_sender.forwarder.queue.disk.dead_letters import letters_in, read_letter

    found = letters_in(folder / "queue" / "dead")
    return {read_letter(path).request.body.split(b" ", 1)[0] for path in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    work = Path(tempfile.mkdtemp())
    try:
        result = try_cuts(work, options.requests, options.cuts, options.seed)
    finally:
        shutil.rmtree(work)
    print(json.dumps(result))
    return 1 if not result or result["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
