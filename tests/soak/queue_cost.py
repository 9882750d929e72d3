"""What a queue on a disk costs beside one in memory: CPU of a request, and throughput.

``python tests/soak/queue_cost.py --seconds 5 --rounds 3 [--clients 64 --sync-ms 10]``:
forwarders to an intake (nginx) under wrk, both kinds in turn in one run; medians, and their
ratios. "taken" is what got a 202, for each second of the load; "delivered" the same requests, for
each second until the last of them is delivered. No request may be refused. Each sync of the disk
takes so much longer (``--sync-ms``, needs gcc).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from power_cuts import compiled, preloaded  # noqa: E402
from queue_kills import forwarder, wait_for_health  # noqa: E402
from servers import free_port  # noqa: E402

NGINX = """
daemon off; pid {folder}/pid; error_log /dev/null; worker_processes 1;
events {{ worker_connections 1000; }}
http {{ access_log off; client_max_body_size 50m; client_body_temp_path {folder}/body;
  client_body_buffer_size 1m; keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{port}; location / {{ return 202 "{{}}"; }} }} }}
"""
LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.path = "/debugger/v2/input?ddtags=a:b"
wrk.body = "[" .. string.rep("1", {size}) .. "]"
"""


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def cpu_of(pid: int) -> float:
    """Seconds of a process and its children."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Figures(NamedTuple):
    """Requests a second, and CPU seconds of one."""

    taken: float
    delivered: float
    cpu: float


def measure(
    queue: str, intake: str, script: Path, clients: int, seconds: int, workers: int
) -> Figures:
    port = free_port()
    # A bound of the memory's alone would refuse what a disk takes.
    arguments = ["--workers", str(workers), "--queue-items", "100000000"]
    arguments += ["--mode", "store-and-forward"]
    with forwarder(queue, port, intake, *arguments) as process:
        wait_for_health(port)
        command = ["wrk", "-t1", f"-c{clients}", "-s", str(script), f"http://127.0.0.1:{port}"]
        subprocess.run([*command, "-d1s"], capture_output=True, check=True)
        wait_until_delivered(port)
        cpu, begun = cpu_of(process.pid), time.monotonic()
        told = subprocess.run(
            [*command, f"-d{seconds}s"], capture_output=True, text=True, check=True
        ).stdout
        wait_until_delivered(port)
        cpu, elapsed = cpu_of(process.pid) - cpu, time.monotonic() - begun
    found = re.search(r"(\d+) requests in", told)
    assert found, told
    assert "Non-2xx" not in told, told
    done = int(found[1])
    return Figures(done / seconds, done / elapsed, cpu / done)


def wait_until_delivered(port: int) -> None:
    while True:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as page:
            if b"\nlivedebug_forwarder_queued 0.0" in page.read():
                return
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--sync-ms", type=float, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="queue-cost-"))
    try:
        if options.sync_ms:
            library = compiled(folder)
            assert library, "needs gcc"
            os.environ |= preloaded(library, folder, None, int(options.sync_ms * 1000))
        with nginx(folder) as intake:
            for size in options.sizes:
                script = folder / "post.lua"
                script.write_text(LUA.format(size=size))
                for clients in options.clients:
                    compare(folder, intake, script, size, clients, options)
    finally:
        shutil.rmtree(folder)


def compare(
    folder: Path, intake: str, script: Path, size: int, clients: int, options: argparse.Namespace
) -> None:
    figures: dict[str, list[Figures]] = {"memory": [], "disk": []}
    for n in range(options.rounds):
        for kind, measured in figures.items():
            queue = kind if kind == "memory" else f"disk:{folder / f'{size}-{clients}-{n}'}"
            arguments = queue, intake, script, clients, options.seconds, options.workers
            measured.append(measure(*arguments))
    memory, disk = (
        Figures(*map(statistics.median, zip(*measured, strict=True)))
        for measured in figures.values()
    )
    print(
        json.dumps(
            {
                "bytes": size,
                "clients": clients,
                "memory taken": round(memory.taken),
                "disk taken": round(disk.taken),
                "memory delivered": round(memory.delivered),
                "disk delivered": round(disk.delivered),
                "delivered, disk/memory": round(disk.delivered / memory.delivered, 2),
                "cpu, disk/memory": round(disk.cpu / memory.cpu, 2),
                "memory cpu us": round(memory.cpu * 1e6),
                "disk cpu us": round(disk.cpu * 1e6),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
