"""Many requests through the disk queue: filled, opened anew, emptied.

``python tests/soak/queue_soak.py --requests 1000000 --size 300 [--kill] [--sync-ms 10]``: who
fills it is a process of its own, which closes it, or is killed (``--kill``); each sync of the
disk takes so much longer (``--sync-ms``, needs gcc). Ends with 1 if any is missing, or if
anything is left in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from crashed_queues import opened  # noqa: E402
from power_cuts import compiled, preloaded  # noqa: E402
from queue_kinds import ROUTE, a_request  # noqa: E402

BOUND = 64 << 30
Figures = dict[str, object]


def memory(which: str = "VmRSS") -> int:
    """MiB this process has now; of ``VmHWM``: had at most."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{which}:")[2].split()[0]) >> 10


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fill(folder: Path, share: int, options: argparse.Namespace) -> None:
    """Print the figures of it."""
    filler = b"x" * options.size
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
    stats = queue.stats()
    figures: Figures = {
        "put per second": round(share * options.threads / (time.monotonic() - begun)),
        "puts a commit": round(share * options.threads / stats.commits, 1),
        "ms a commit": round(1000 * stats.commit_seconds / stats.commits, 2),
        "MiB at most while filled": memory("VmHWM"),
    }
    print(json.dumps(figures), flush=True)
    if options.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    queue.close(60)


def drain(folder: Path, total: int) -> Figures:
    begun = time.monotonic()
    queue = opened(folder, max_bytes=BOUND)
    figures: Figures = {"seconds to open": round(time.monotonic() - begun, 2)}
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
    figures["MiB at most while emptied"] = memory("VmHWM")
    queue.close(30)
    figures["bytes left"] = size_of(folder)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--folder", default="/var/tmp")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--sync-ms", type=float, default=0)
    parser.add_argument("--fill", help="fill this folder, and no more")
    options = parser.parse_args()
    share = options.requests // options.threads
    if options.fill:
        fill(Path(options.fill), share, options)
        return 0
    work = Path(tempfile.mkdtemp(dir=options.folder, prefix="queue-soak-"))
    folder = work / "queue"
    total = share * options.threads
    environment = dict(os.environ)
    if options.sync_ms:
        library = compiled(work)
        assert library, "needs gcc"
        environment = preloaded(library, folder, None, int(options.sync_ms * 1000))
    command = [sys.executable, __file__, *sys.argv[1:], "--fill", str(folder)]
    filling = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
    assert filling.returncode == (-signal.SIGKILL if options.kill else 0), filling.returncode
    figures: Figures = {"requests": total, "size": options.size, **json.loads(filling.stdout)}
    figures["bytes on disk for one"] = round(size_of(folder) / total)
    figures |= drain(folder, total)
    shutil.rmtree(work)
    print(json.dumps(figures))
    return 1 if figures["missing"] or figures["bytes left"] else 0


if __name__ == "__main__":
    sys.exit(main())
