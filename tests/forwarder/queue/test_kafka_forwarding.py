"""The forwarder with its queue in Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("confluent_kafka", reason="no confluent-kafka")

from kafka_broker import new_topic, shared_hosts
from running_forwarder import ROUTES, running
from sample_data import KEY
from servers import RecordingServer
from waiting import until

from livedebug_sender.forwarder.queue.browsing import DEAD
from livedebug_sender.forwarder.queue.kafka.browsing import KafkaBrowser

PATIENCE = 30.0


@pytest.fixture
def url() -> str:
    return new_topic(shared_hosts())


@contextmanager
def in_kafka(intake: str, url: str, **options: Any) -> Iterator[Any]:
    """With its queue open: that may take longer than a client waits."""
    options.setdefault("kafka_min_replicas", 1)
    with running(intake, queue=url, **options) as forwarder:
        forwarder.app.start()
        yield forwarder


def samples(forwarder: Any) -> dict[str, float]:
    lines = forwarder.get("/metrics").body.decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name.removeprefix("livedebug_forwarder_"): float(value) for name, _, value in pairs}


def test_what_was_taken_waits_for_the_next_forwarder_and_keeps_its_id(url):
    with RecordingServer(503) as intake, in_kafka(intake.url, url) as forwarder:
        for path in ROUTES:
            assert forwarder.post(path, path.encode()).status == 202
        # One of them may be tried again before another is for the first time.
        arrived = intake.wait_for(lambda all_: len({one.body for one in all_}) == 4)
        before = {r.body: r.headers["dd-request-id"] for r in arrived}
        forwarder.stop()
        assert forwarder.delivered is True  # nothing is lost
    with RecordingServer() as intake, in_kafka(intake.url, url) as forwarder:
        intake.wait_for(lambda all_: len({one.body for one in all_}) == 4)
        assert until(lambda: samples(forwarder)["queue_items"] == 0, PATIENCE)
    assert {r.body: r.headers["dd-request-id"] for r in intake.requests} == before


def test_two_forwarders_on_one_topic_deliver_each_request_once(url):
    with RecordingServer() as intake:
        with in_kafka(intake.url, url) as first, in_kafka(intake.url, url) as second:
            for n in range(100):
                assert (first, second)[n % 2].post(ROUTES[n % 4], b"[%d]" % n).status == 202
            intake.wait_for(lambda all_: len({one.body for one in all_}) == 100)
            for one in (first, second):
                assert until(lambda one=one: samples(one)["queue_items"] == 0, PATIENCE)
        # Some may come twice: those under way while the partitions are shared out.
        assert len(intake.requests) < 150


def test_what_is_refused_for_good_becomes_a_dead_letter(url):
    with RecordingServer(413) as intake, in_kafka(intake.url, url) as forwarder:
        forwarder.post(ROUTES[1], b"[1]")
        assert until(
            lambda: samples(forwarder).get('queue_dead_total{reason="HTTP 413"}') == 1, PATIENCE
        )
        assert until(lambda: samples(forwarder)["queue_items"] == 0, PATIENCE)
    with KafkaBrowser(url, ROUTES) as browser:
        (entry,) = browser.entries(DEAD)
        assert (entry.reason, entry.route) == ("HTTP 413", ROUTES[1])
        stored = browser.read(entry.name)
    assert stored.body == b"[1]"
    assert KEY not in json.dumps([stored.query, dict(stored.headers)])


def test_a_refused_key_drops_nothing(url):
    with RecordingServer(403) as intake, in_kafka(intake.url, url) as forwarder:
        for n in range(10):
            assert forwarder.post(ROUTES[2], b"[%d]" % n).status == 202
        intake.wait_for(1)
        assert until(lambda: samples(forwarder)["queue_items"] == 10, PATIENCE)
    with RecordingServer() as intake, in_kafka(intake.url, url) as forwarder:
        intake.wait_for(lambda all_: len({one.body for one in all_}) == 10)
