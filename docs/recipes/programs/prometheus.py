"""Exports the sender's stats to Prometheus."""

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

COUNTERS = {
    "enqueued": "Payloads that were enqueued.",
    "delivered": "Payloads that the primary endpoint accepted.",
    "requests": "Requests to primary endpoints.",
    "retries": "Requests that were retries.",
    "bytes_sent": "Bytes of bodies to primary endpoints.",
    "additional_failed": "Requests to additional endpoints that failed.",
}
GAUGES = {"pending": "Pending payloads.", "pending_bytes": "Bytes of pending payloads."}


class SenderCollector:
    """Reads the stats at each scrape, and costs nothing in between."""

    def __init__(self, sender):
        self._sender = sender

    def collect(self):
        stats = self._sender.stats()
        for name, words in COUNTERS.items():
            yield CounterMetricFamily(f"livedebug_{name}", words, getattr(stats, name))
        for name, words in GAUGES.items():
            yield GaugeMetricFamily(f"livedebug_{name}", words, getattr(stats, name))
        dropped = CounterMetricFamily("livedebug_dropped", "Dropped payloads.", labels=["reason"])
        for reason, count in stats.dropped.items():
            dropped.add_metric([reason], count)
        yield dropped
