"""Many requests through the disk queue: filled, opened anew, emptied.

``python tests/soak/queue_soak.py --requests 1000000 --size 300``. Ends with 1 if any is
missing, or if anything is left in the folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from crashed_queues import opened  # noqa: E402
from queue_kinds import ROUTE, a_request  # noqa: E402

BOUND = 64 << 30


def memory() -> int:
    """MiB this process has now."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) >> 10


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--folder", default="/var/tmp")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="queue-soak-"))
    filler = b"x" * options.size
    share = options.requests // options.threads
    total = share * options.threads
    figures: dict[str, object] = {"requests": total, "size": options.size}

    queue = opened(folder, max_bytes=BOUND)

    def put(first: int) -> None:
        for n in range(first, first + share):
            queue.put(a_request(b"%08d" % n + filler))

    begun = time.monotonic()
    threads = [threading.Thread(target=put, args=[n * share]) for n in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures["put per second"] = round(total / (time.monotonic() - begun))
    figures["MiB after puts"] = memory()
    queue.close(60)
    figures["bytes on disk for one"] = round(size_of(folder) / total)

    begun = time.monotonic()
    queue = opened(folder, max_bytes=BOUND)
    figures["seconds to open"] = round(time.monotonic() - begun, 2)
    figures["found"] = queue.stats().items

    seen = bytearray(total)

    def take() -> None:
        while taken := queue.take(ROUTE, 5):
            seen[int(taken.request.body[:8])] = 1
            queue.acknowledge(taken)

    begun = time.monotonic()
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    while queue.stats().items:
        time.sleep(0.5)
    figures["taken per second"] = round(total / (time.monotonic() - begun))
    for thread in threads:
        thread.join()
    figures["missing"] = total - sum(seen)
    figures["MiB at the end"] = memory()
    queue.close(30)
    figures["bytes left"] = size_of(folder)
    shutil.rmtree(folder)
    print(json.dumps(figures))
    return 1 if figures["missing"] or figures["bytes left"] else 0


if __name__ == "__main__":
    sys.exit(main())
