"""The forwarder's metrics, for Prometheus.

Requests are counted in `Counters`, which all workers share; prometheus-client formats
them on request. (Its own counters take about 2 µs each, and with several processes
need a file for each.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from ..stats import LOST, Stats
from ..version import __version__
from .counters import FIRST_METRIC, WORKERS_REPLACED, Column
from .published import Family, WorkerState, combined
from .queue.request_queue import QueueStats
from .queue_metrics import COUNTER, GAUGE, queue_families
from .routes import ROUTES, SWALLOWED

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Upper bounds of the histogram of durations, in seconds.
BUCKETS = (0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0)
_NAME = "livedebug_forwarder_"
_BY = ("forwarder", "intake")

# The slots: one for each route, source of the response and status; each route and bucket; ...
_STATUSES = 1000
_PATHS = tuple(ROUTES)
_NUMBERS = {path: number for number, path in enumerate(_PATHS)}
_REQUESTS = FIRST_METRIC
_BYTES = _REQUESTS + len(_PATHS) * len(_BY) * _STATUSES
_NANOSECONDS = _BYTES + len(_PATHS)
_IN_BUCKET = _NANOSECONDS + len(_PATHS)
_SWALLOWED = _IN_BUCKET + len(_PATHS) * (len(BUCKETS) + 1)
#: The number of slots in a forwarder's counters.
SLOTS = _SWALLOWED + len(SWALLOWED)


class Metrics:
    """Counts of the requests to the debugger routes.

    Args:
        column: this worker's.
    """

    def __init__(self, column: Column) -> None:
        self._column = column

    def count(self, path: str, status: int, from_intake: bool, size: int, seconds: float) -> None:
        """Count a response to a request with a body of `size` bytes, and its duration."""
        route = _NUMBERS[path]
        bucket = 0
        while bucket < len(BUCKETS) and seconds > BUCKETS[bucket]:
            bucket += 1
        self._column.add(
            (_REQUESTS + (route * 2 + from_intake) * _STATUSES + status, 1),
            (_BYTES + route, size),
            (_NANOSECONDS + route, int(seconds * 1e9)),
            (_IN_BUCKET + route * (len(BUCKETS) + 1) + bucket, 1),
        )

    def count_swallowed(self, kind: str) -> None:
        self._column.add((_SWALLOWED + SWALLOWED.index(kind), 1))

    def page(self, in_flight: tuple[int, int], states: list[WorkerState]) -> bytes:
        """The text for Prometheus.

        Args:
            in_flight: requests and bytes that are in flight now.
            states: of all workers.
        """
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([*self._of_requests(), *_of_state(in_flight, states)]))
        return generate_latest(registry)

    def _of_requests(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        total = self._column.total
        requests = CounterMetricFamily(
            f"{_NAME}requests", "Responses, by their source.", labels=("route", "status", "by")
        )
        size = CounterMetricFamily(f"{_NAME}request_bytes", "Size of bodies.", labels=("route",))
        seconds = HistogramMetricFamily(
            f"{_NAME}request_seconds", "From the body to the response.", labels=("route",)
        )
        for route, path in enumerate(_PATHS):
            first = _REQUESTS + route * 2 * _STATUSES
            for slot in range(2 * _STATUSES):
                if number := total(first + slot):
                    labels = (path, str(slot % _STATUSES), _BY[slot // _STATUSES])
                    requests.add_metric(labels, number)
            first = _IN_BUCKET + route * (len(BUCKETS) + 1)
            counts = list(accumulate(total(first + n) for n in range(len(BUCKETS) + 1)))
            if counts[-1]:
                size.add_metric((path,), total(_BYTES + route))
                bounds = (*map(str, BUCKETS), "+Inf")
                sum_of_seconds = total(_NANOSECONDS + route) / 1e9
                seconds.add_metric((path,), list(zip(bounds, counts, strict=True)), sum_of_seconds)
        yield from (requests, size, seconds)
        swallowed = CounterMetricFamily(
            f"{_NAME}swallowed", "Requests answered 200 and discarded.", labels=("kind",)
        )
        for number, kind in enumerate(SWALLOWED):
            swallowed.add_metric((kind,), total(_SWALLOWED + number))
        yield swallowed
        replaced = CounterMetricFamily(f"{_NAME}workers_replaced", "Worker processes that died.")
        replaced.add_metric((), total(WORKERS_REPLACED))
        yield replaced


def state_of(stats: Stats, queue: QueueStats | None) -> WorkerState:
    """The metrics of a worker's stats, and of its queue."""
    stored = {"delivered": stats.delivered, **{why: stats.dropped.get(why, 0) for why in LOST}}
    additional = {"delivered": stats.additional_delivered, "failed": stats.additional_failed}
    families = [
        Family("queued", GAUGE, "Stored requests, waiting or in flight.", "", {"": stats.pending}),
        Family("queued_bytes", GAUGE, "Their size.", "", {"": stats.pending_bytes}),
        Family("stored", COUNTER, "Stored requests that were settled.", "result", {**stored}),
        Family("additional", COUNTER, "Copies for additional endpoints.", "result", {**additional}),
        Family("retries", COUNTER, "Retries of stored requests.", "", {"": stats.retries}),
    ]
    families += queue_families(queue) if queue else ()
    return WorkerState(families, queue.fullness if queue else 0.0)


class _Families:
    """A collector for existing metric families."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_state(in_flight: tuple[int, int], states: list[WorkerState]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    words = "Requests in flight."
    yield GaugeMetricFamily(f"{_NAME}requests_in_hand", words, in_flight[0])
    yield GaugeMetricFamily(f"{_NAME}bytes_in_hand", "Size of their bodies.", in_flight[1])
    kinds = {COUNTER: CounterMetricFamily, GAUGE: GaugeMetricFamily}
    for family in combined(states):
        labels = [family.label] if family.label else []
        metric = kinds[family.kind](_NAME + family.name, family.words, labels=labels)
        for label, value in family.values.items():
            metric.add_metric([label] if family.label else [], value)
        yield metric
    info = GaugeMetricFamily(f"{_NAME}info", "The version.", labels=("version",))
    info.add_metric((__version__,), 1)
    yield info
