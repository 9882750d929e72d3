"""A damaged file of the disk queue: how much of it still arrives.

``python tests/soak/queue_damage.py --runs 100``: a file of 60 requests of 100 bytes to 40 KB, as
a crash leaves it or sealed, is damaged at random places, so many times each. Ends with 1 if
anything arrives that was not put, or twice, or if a flipped bit costs more than one request.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from crashed_queues import crashed, opened, taken_from  # noqa: E402
from queue_kinds import a_request  # noqa: E402
from waiting import until  # noqa: E402

from livedebug_sender.forwarder.queue.disk import housekeeper  # noqa: E402

BODIES = [random.Random(n).randbytes(100 if n % 3 else 40_000) for n in range(60)]
Damage = Callable[[bytearray, random.Random], None]


def flip_a_bit(contents: bytearray, choices: random.Random) -> None:
    place = choices.randrange(len(contents) * 8)
    contents[place // 8] ^= 1 << place % 8


def cut(contents: bytearray, choices: random.Random) -> None:
    del contents[choices.randrange(len(contents)) :]


def overwrite(contents: bytearray, choices: random.Random) -> None:
    """Up to 100 KB, with garbage."""
    begin = choices.randrange(len(contents))
    end = min(len(contents), begin + choices.randrange(1, 100_000))
    contents[begin:end] = choices.randbytes(end - begin)


def arrived_from(folder: Path, damage: Damage, choices: random.Random) -> list[bytes]:
    files = [path for path in folder.rglob("*.segment*") if path.is_file()]
    file = max(files, key=lambda path: path.stat().st_size)
    contents = bytearray(file.read_bytes())
    damage(contents, choices)
    file.write_bytes(contents)
    queue = opened(folder)
    arrived: list[bytes] = []

    def all_came() -> bool:
        arrived.extend(request.body for request in taken_from(queue, patience=0.02))
        looked_into = not list(file.parent.glob("*.segment"))
        letters = [path for path in folder.glob("*/*.letter") if path.parent.name != "set-aside"]
        return looked_into and not letters and not queue.stats().items

    assert until(all_came, 60)
    queue.close(5)
    return arrived


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    housekeeper.ROUND = 0.02
    choices = random.Random(options.seed)
    work = Path(tempfile.mkdtemp())
    crashed(work / "crashed", [a_request(body) for body in BODIES])
    shutil.copytree(work / "crashed", work / "sealed")
    opened(work / "sealed").close(5)
    failed = False
    for kind in ("crashed", "sealed"):
        for damage in (flip_a_bit, cut, overwrite):
            missing = []
            for _ in range(options.runs):
                shutil.rmtree(work / "copy", ignore_errors=True)
                shutil.copytree(work / kind, work / "copy")
                arrived = arrived_from(work / "copy", damage, choices)
                missing.append(len(BODIES) - len(set(arrived)))
                failed |= len(set(arrived)) < len(arrived) or not set(arrived) <= set(BODIES)
            failed |= damage is flip_a_bit and max(missing) > 1
            mean = round(sum(missing) / len(missing), 2)
            figures = {"file": kind, "damage": damage.__name__, "runs": options.runs}
            print(json.dumps({**figures, "missing, mean": mean, "at most": max(missing)}))
    shutil.rmtree(work)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
