"""What a put in Kafka costs, and what comes through: one broker and three, on this machine.

    python tests/benchmarks/kafka_queue.py [--linger 0 5] [--seconds 5]

Needs Java 17 and Maven. Brokers, clients and intake share the machine's cores.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from kafka_broker import Cluster, new_topic  # noqa: E402
from queue_kinds import OTHER_ROUTE, ROUTE, a_request, queue_options  # noqa: E402

from livedebug_sender.forwarder.queue.opening import open_queue  # noqa: E402
from livedebug_sender.forwarder.queue.request_queue import RequestQueue  # noqa: E402

KB = 1000


def puts(queue: RequestQueue, threads: int, size: int, seconds: float) -> tuple[float, list[float]]:
    """Requests a second, and the seconds that each took."""
    until = time.monotonic() + seconds
    took: list[float] = []
    body = os.urandom(size)

    def run() -> None:
        while (begun := time.monotonic()) < until:
            queue.put(a_request(body))
            took.append(time.monotonic() - begun)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    begun = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(took) / (time.monotonic() - begun), sorted(took)


def takes(queue: RequestQueue, count: int) -> float:
    """Requests a second, from the moment the first is there."""
    queue.acknowledge(queue.take(ROUTE, 60))  # type: ignore[arg-type]
    begun = time.monotonic()
    for _ in range(count - 1):
        queue.acknowledge(queue.take(ROUTE, 60))  # type: ignore[arg-type]
    return (count - 1) / (time.monotonic() - begun)


def rows(seconds: float, lingers: list[int], folder: Path) -> Iterator[str]:
    for brokers in (1, 3):
        with Cluster(folder / str(brokers), brokers) as cluster:
            replicas = {"replicas": brokers, "min_insync_replicas": str(max(1, brokers - 1))}
            for linger, (size, threads) in itertools.product(
                lingers, ((2 * KB, 1), (2 * KB, 8), (2 * KB, 32), (200 * KB, 8))
            ):
                url = new_topic(cluster.hosts, **replicas)  # type: ignore[arg-type]
                properties = folder / "properties"
                properties.write_text(f"linger.ms={linger}\n")
                properties.chmod(0o600)
                options = queue_options(
                    kafka_config=str(properties), routes=(ROUTE, OTHER_ROUTE), put_timeout=30.0
                )
                queue = open_queue(url, options)
                puts(queue, 2, size, 1.0)  # connections, ids
                rate, took = puts(queue, threads, size, seconds)
                taken = takes(queue, min(len(took), 3000))
                queue.close(10.0)
                yield (
                    f"{brokers} brokers, linger {linger} ms, {size // KB} KB, {threads} threads: "
                    f"{rate:.0f} puts/s, median {statistics.median(took) * 1e3:.1f} ms, "
                    f"p99 {took[int(len(took) * 0.99)] * 1e3:.1f} ms; {taken:.0f} takes/s"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--linger", type=int, nargs="+", default=[0, 5])
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(given.seconds, given.linger, Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
