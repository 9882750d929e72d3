"""What the forwarder did, in numbers, in the text format of Prometheus (0.0.4)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from ..stats import LOST, Stats
from ..version import __version__
from .queue.request_queue import QueueStats
from .queue_metrics import GAUGE, queue_metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Upper bounds of the histogram of durations, in seconds.
BUCKETS = (0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0)
_NAME = "livedebug_forwarder_"

#: Label names and values; never anything a request has chosen.
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts of the requests to the debugger routes."""

    def __init__(self) -> None:
        # Guards: all below.
        self._lock = threading.Lock()
        self._requests: Counter[Labels] = Counter()
        self._bytes: Counter[Labels] = Counter()
        self._buckets: Counter[tuple[Labels, float]] = Counter()
        self._seconds: Counter[Labels] = Counter()

    def count(self, path: str, status: int, from_intake: bool, size: int, seconds: float) -> None:
        route: Labels = (("route", path),)
        by = "intake" if from_intake else "forwarder"
        with self._lock:
            self._requests[(*route, ("status", str(status)), ("by", by))] += 1
            self._bytes[route] += size
            self._seconds[route] += seconds  # type: ignore[assignment]
            for bound in (*BUCKETS, float("inf")):
                if seconds <= bound:
                    self._buckets[route, bound] += 1

    def text(self, in_hand: tuple[int, int], stats: Stats, queue: QueueStats | None = None) -> str:
        """The page.

        Args:
            in_hand: requests and bytes that are in hand now.
            stats: of what forwards.
            queue: of where stored requests wait.
        """
        lines = [*self._of_requests(), *_of_state(in_hand, stats)]
        for metric in queue_metrics(queue) if queue else ():
            name = metric.name if metric.kind == GAUGE else f"{metric.name}_total"
            samples = [
                (((metric.label, label),) if metric.label else (), value)
                for label, value in metric.values.items()
            ]
            lines += _family(name, metric.kind, metric.words, samples)
        return "\n".join(lines) + "\n"

    def _of_requests(self) -> Iterable[str]:
        with self._lock:
            requests, size = Counter(self._requests), Counter(self._bytes)
            buckets, seconds = Counter(self._buckets), Counter(self._seconds)
        yield from _family(
            "requests_total", "counter", "Answers, by who gave them.", requests.items()
        )
        yield from _family("request_bytes_total", "counter", "Bytes of bodies.", size.items())
        yield from _head("request_seconds", "histogram", "From the body to the answer.")
        for labels in sorted(seconds):
            for bound in (*BUCKETS, float("inf")):
                shown = "+Inf" if bound == float("inf") else str(bound)
                number = buckets[labels, bound]
                yield _line("request_seconds_bucket", (*labels, ("le", shown)), number)
            yield _line("request_seconds_sum", labels, seconds[labels])
            yield _line("request_seconds_count", labels, buckets[labels, float("inf")])


def _of_state(in_hand: tuple[int, int], stats: Stats) -> Iterable[str]:
    result = "result"
    queue = {"delivered": stats.delivered, **{why: stats.dropped.get(why, 0) for why in LOST}}
    additional = {"delivered": stats.additional_delivered, "failed": stats.additional_failed}
    gauges = (
        ("requests_in_hand", "Requests that are being answered.", in_hand[0]),
        ("bytes_in_hand", "Bytes of their bodies.", in_hand[1]),
        ("queued", "Stored requests that wait or are under way.", stats.pending),
        ("queued_bytes", "Bytes of them.", stats.pending_bytes),
    )
    for name, words, value in gauges:
        yield from _family(name, "gauge", words, [((), value)])
    tables = (
        ("stored_total", "Stored requests that came to an end.", queue),
        ("additional_total", "Copies for additional endpoints.", additional),
    )
    for name, words, table in tables:
        samples = [(((result, key),), value) for key, value in table.items()]
        yield from _family(name, "counter", words, samples)
    retries = [((), stats.retries)]
    yield from _family("retries_total", "counter", "Stored requests tried again.", retries)
    info = [((("version", __version__),), 1)]
    yield from _family("info", "gauge", "The version.", info)


def _family(
    name: str, kind: str, words: str, samples: Iterable[tuple[Labels, float]]
) -> Iterable[str]:
    yield from _head(name, kind, words)
    for labels, value in sorted(samples):
        yield _line(name, labels, value)


def _head(name: str, kind: str, words: str) -> tuple[str, str]:
    return f"# HELP {_NAME}{name} {words}", f"# TYPE {_NAME}{name} {kind}"


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in labels)
    return f"{_NAME}{name}{{{inside}}} {value}" if inside else f"{_NAME}{name} {value}"
