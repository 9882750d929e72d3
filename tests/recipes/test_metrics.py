"""The recipes for metrics: StatsD and Prometheus."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from running_recipes import PATIENCE, load
from servers import RecordingServer

from livedebug_sender import Sender

Make = Callable[..., Sender]
PAYLOAD = {"message": "hello", "debugger": {}}


def three_and_a_bad_one(sender: Sender) -> None:
    for _ in range(3):
        assert sender.enqueue("logs", PAYLOAD)
    assert not sender.enqueue("logs", "no JSON")
    assert sender.flush(PATIENCE)


def test_statsd_gets_what_changed_since_the_last_report(make_sender: Make) -> None:
    with (
        RecordingServer() as intake,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd,
    ):
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(PATIENCE)
        sender = make_sender(intake.url)
        metrics = load("statsd").StatsD(sender, port=statsd.getsockname()[1])

        def reported() -> set[str]:
            metrics.report()
            return set(statsd.recv(65536).decode().split("\n"))

        three_and_a_bad_one(sender)
        first = reported()
        assert {"livedebug.enqueued:3|c", "livedebug.delivered:3|c"} <= first
        assert "livedebug.dropped:1|c|#reason:invalid" in first
        assert "livedebug.pending:0|g" in first
        assert reported() == {"livedebug.pending:0|g", "livedebug.pending_bytes:0|g"}
        assert sender.enqueue("logs", PAYLOAD)
        assert sender.flush(PATIENCE)
        third = reported()
        assert "livedebug.delivered:1|c" in third
        assert not any("dropped" in line for line in third)
        metrics.close()


def test_prometheus_reads_the_totals(make_sender: Make) -> None:
    client = pytest.importorskip("prometheus_client")
    with RecordingServer() as intake:
        sender = make_sender(intake.url)
        registry = client.CollectorRegistry()
        registry.register(load("prometheus").SenderCollector(sender))
        three_and_a_bad_one(sender)
        lines = client.generate_latest(registry).decode().splitlines()
    assert "livedebug_enqueued_total 3.0" in lines
    assert "livedebug_delivered_total 3.0" in lines
    assert 'livedebug_dropped_total{reason="invalid"} 1.0' in lines
    assert "livedebug_pending 0.0" in lines
    assert "# TYPE livedebug_pending_bytes gauge" in lines
