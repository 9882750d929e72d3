"""A queue in a real Kafka: what only it has."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("confluent_kafka", reason="no confluent-kafka")

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource
from kafka_broker import new_topic, shared_hosts
from queue_kinds import OTHER_ROUTE, ROUTE, QueueMaker, a_request, queue_options
from running_cli import run
from servers import free_port
from waiting import until

from livedebug_sender import ConfigError
from livedebug_sender.forwarder.queue.browsing import DEAD, WAITING, QueueInUse
from livedebug_sender.forwarder.queue.kafka import topic
from livedebug_sender.forwarder.queue.kafka.browsing import KafkaBrowser
from livedebug_sender.forwarder.queue.opening import open_queue

PATIENCE = 30.0
ROUTES = (ROUTE, OTHER_ROUTE)
MiB = 2**20


@pytest.fixture(scope="module")
def hosts() -> str:
    return shared_hosts()


@pytest.fixture
def opened(hosts: str) -> Iterator[QueueMaker]:
    maker = QueueMaker(new_topic(hosts))
    yield maker
    maker.close()


def all_values(url: str, topic: str = "") -> list[bytes]:
    """Everything in a topic, its keys and headers too, as any client of the broker sees it."""
    brokers, _, name = url.removeprefix("kafka://").partition("/")
    topic = topic or name
    client = Consumer({"bootstrap.servers": brokers, "group.id": f"look-{os.getpid()}"})
    try:
        found = []
        for number in client.list_topics(topic, timeout=10).topics[topic].partitions:
            first, end = client.get_watermark_offsets(TopicPartition(topic, number))
            client.assign([TopicPartition(topic, number, first)])
            while first < end:
                message = client.poll(10)
                headers = repr(message.headers()).encode()
                found.append(b"".join((message.key() or b"", headers, message.value())))
                first = message.offset() + 1
        return found
    finally:
        client.close()


def test_a_missing_topic_is_made_and_can_keep_the_promise(hosts):
    url = f"kafka://{hosts}/made-{os.urandom(4).hex()}"
    open_queue(url, queue_options(max_age=3600.0)).close(5.0)
    admin = AdminClient({"bootstrap.servers": hosts})
    name = url.rpartition("/")[2]
    described = admin.list_topics(timeout=10).topics
    assert (len(described[name].partitions), len(described[f"{name}.dead"].partitions)) == (12, 1)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    settings = admin.describe_configs([resource])[resource].result(10)
    assert settings["retention.ms"].value == "86400000"
    assert settings["message.timestamp.type"].value == "LogAppendTime"
    assert settings["unclean.leader.election.enable"].value == "false"


@pytest.mark.parametrize("existing", [True, False])
def test_one_replica_is_refused_unless_it_is_said_to_be_meant(hosts, existing):
    url = new_topic(hosts) if existing else f"kafka://{hosts}/none-{os.urandom(4).hex()}"
    with pytest.raises(ConfigError, match="--kafka-min-replicas 1"):
        open_queue(url, queue_options(kafka_min_replicas=3))


def test_short_retention_is_a_warning_at_the_start(hosts, caplog):
    url = new_topic(hosts, retention_ms="60000")
    open_queue(url, queue_options(max_age=3600.0)).close(5.0)
    assert "--add-config retention.ms=7200000" in caplog.text


def test_brokers_that_do_not_answer_are_told_at_the_start_in_bounded_time(monkeypatch):
    monkeypatch.setattr(topic, "PATIENCE", 0.5)
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="none"):
        open_queue(f"kafka://127.0.0.1:{free_port()}/none", queue_options())
    assert time.monotonic() - begun < 10


def test_a_property_that_the_client_does_not_know_is_refused(hosts, tmp_path):
    path = tmp_path / "properties"
    path.write_text("no.such.thing=hunter2\n")
    with pytest.raises(ConfigError, match=r"no\.such\.thing") as refused:
        open_queue(f"kafka://{hosts}/t", queue_options(kafka_config=str(path)))
    assert "hunter2" not in str(refused.value)


def test_the_largest_bodies_arrive_whole_and_again_after_a_release(opened):
    queue = opened()
    bodies = [os.urandom(25 * MiB) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda body: queue.put(a_request(body)), bodies))
    queue.release(queue.take(ROUTE, PATIENCE))
    arrived = []
    for _ in bodies:
        taken = queue.take(ROUTE, PATIENCE)
        arrived.append(taken.request.body)
        queue.acknowledge(taken)
    assert sorted(arrived) == sorted(bodies)
    assert until(lambda: queue.stats().items == 0, PATIENCE)


def test_no_key_and_no_authorization_is_in_the_broker(opened):
    queue = opened()
    secrets = {"Authorization": "Bearer hunter2", "DD-API-KEY": "hunter2", "Cookie": "hunter2"}
    queue.put(a_request(b"small", headers=secrets))
    queue.put(a_request(b"x" * 2 * MiB, headers=secrets))
    for _ in range(2):
        queue.bury(queue.take(ROUTE, PATIENCE), "HTTP 400")
    dead = opened.url.rpartition("/")[2] + ".dead"
    assert until(lambda: queue.stats().items == 0, PATIENCE)
    values = all_values(opened.url) + all_values(opened.url, dead)
    assert len(values) == 8
    assert not any(b"hunter2" in value for value in values)


def test_two_share_the_work_and_one_takes_over_what_the_other_leaves(opened):
    first, second = opened(), opened()
    for n in range(200):
        first.put(a_request(b"%d" % n))
    arrived: list[bytes] = []
    from_both = set()

    def bring(queue) -> bool:
        taken = queue.take(ROUTE, 0.5)
        if taken is not None:
            arrived.append(taken.request.body)
            queue.acknowledge(taken)
        return taken is not None

    while len(from_both) < 2:
        from_both |= {number for number, queue in enumerate((first, second)) if bring(queue)}
        first.put(a_request(b"more"))
    second.close(10.0)
    while len(set(arrived)) < 201:
        bring(first)
    assert set(arrived) == {b"more", *(b"%d" % n for n in range(200))}
    assert until(lambda: not bring(first) and first.stats().items == 0, 30)


def test_what_was_taken_and_not_settled_goes_to_the_next_owner(opened):
    first = opened()
    for n in range(20):
        first.put(a_request(b"%d" % n))
    taken = [first.take(ROUTE, PATIENCE) for _ in range(20)]
    for one in taken[::2]:
        first.acknowledge(one)
    first.close(10.0)
    second = opened()
    again = [second.take(ROUTE, PATIENCE) for _ in range(10)]
    assert sorted(one.request.body for one in again) == sorted(
        one.request.body for one in taken[1::2]
    )
    assert {one.redeliveries for one in again} == {1}
    assert second.take(ROUTE, 0.5) is None


def test_a_lease_of_a_closed_queue_settles_nothing(opened):
    first = opened()
    first.put(a_request(b"1"))
    taken = first.take(ROUTE, PATIENCE)
    first.close(10.0)
    first.acknowledge(taken)
    assert opened().take(ROUTE, PATIENCE).request.body == b"1"


def test_a_route_that_nobody_takes_holds_up_no_other(opened):
    queue = opened()
    for _ in range(60):
        queue.put(a_request(b"x" * MiB, OTHER_ROUTE))
    for n in range(60):
        queue.put(a_request(b"%d" % n))
    bodies = set()
    for _ in range(60):
        taken = queue.take(ROUTE, PATIENCE)
        bodies.add(taken.request.body)
        queue.acknowledge(taken)
    assert bodies == {b"%d" % n for n in range(60)}
    # What was read ahead of the other is bounded.
    assert queue.stats().bytes < 40 * MiB
    for _ in range(60):
        queue.acknowledge(queue.take(OTHER_ROUTE, PATIENCE))
    assert queue.take(OTHER_ROUTE, 0.3) is None


def test_garbage_in_the_topic_is_set_aside_and_stops_nothing(opened, caplog):
    queue = opened()
    brokers, _, topic = opened.url.removeprefix("kafka://").partition("/")
    stranger = Producer({"bootstrap.servers": brokers})
    for number in range(12):
        stranger.produce(topic, b"garbage", partition=number)
    stranger.flush(10)
    queue.put(a_request(b"ours"))
    queue.acknowledge(queue.take(ROUTE, PATIENCE))
    assert until(lambda: queue.stats().set_aside == 12, PATIENCE)
    assert until(lambda: queue.stats().items == 0, PATIENCE)
    assert sum(b"garbage" in value for value in all_values(opened.url, f"{topic}.dead")) == 12


def test_parts_of_a_request_that_was_never_confirmed_hold_nothing_up(opened):
    brokers, _, topic = opened.url.removeprefix("kafka://").partition("/")
    from livedebug_sender.forwarder.queue.kafka.records import records_of

    half = records_of(a_request(b"x" * 5000), 1000)[:3]
    stranger = Producer({"bootstrap.servers": brokers})
    for record in half:
        stranger.produce(topic, record.value, partition=0, headers=record.headers)
    stranger.flush(10)
    queue = opened(put_timeout=0.2)
    assert queue.take(ROUTE, 0.1) is None
    assert until(lambda: queue.stats().items == 3, PATIENCE)
    assert until(lambda: queue.stats().items == 0, PATIENCE)


def test_dead_letters_are_looked_at_requeued_and_dropped(opened):
    queue = opened()
    for body in (b"1", b"2", b"x" * 2 * MiB):
        queue.put(a_request(body))
    for _ in range(3):
        taken = queue.take(ROUTE, PATIENCE)
        queue.bury(taken, f"HTTP {400 + len(taken.request.body) % 7}")
    assert until(lambda: queue.stats().items == 0, PATIENCE)
    assert until(lambda: queue.stats().dead_items >= 3, PATIENCE)
    with KafkaBrowser(opened.url, ROUTES) as browser:
        dead = list(browser.entries(DEAD))
        assert sorted(one.size for one in dead) == [1, 1, 2 * MiB]
        assert {one.reason for one in dead} == {"HTTP 401", f"HTTP {400 + 2 * MiB % 7}"}
        large, other = max(dead, key=lambda one: one.size), min(dead, key=lambda one: one.size)
        assert browser.read(large.name).body == b"x" * 2 * MiB
        assert browser.requeue([large.name, "dead:0:999", "dead:nonsense"]) == 1
        assert browser.drop([other.name]) == 1
        assert browser.drop([other.name]) == 0
        assert len(list(browser.entries(DEAD))) == 1
        with pytest.raises(KeyError):
            browser.read("dead:0:999")
    again = queue.take(ROUTE, PATIENCE)
    assert (again.request.body, again.request.request_id) == (b"x" * 2 * MiB, large.request_id)


def test_what_waits_is_looked_at_and_dropped_only_while_nobody_works_with_it(opened):
    queue = opened()
    for n in range(5):
        queue.put(a_request(b"%d" % n))
    taken = queue.take(ROUTE, PATIENCE)
    queue.acknowledge(taken)
    with KafkaBrowser(opened.url, ROUTES) as browser:
        assert until(lambda: len(list(browser.entries(WAITING))) == 4, PATIENCE)
        name = next(browser.entries(WAITING)).name
        with pytest.raises(QueueInUse, match="stop them"):
            browser.drop([name])
        gone = browser.read(name).body
        queue.close(10.0)
        assert browser.drop([name]) == 1
        left = {browser.read(one.name).body for one in browser.entries(WAITING)}
        assert left == {b"%d" % n for n in range(5)} - {taken.request.body, gone}
        findings = list(browser.verify())
        assert (len(findings), sum(one.requests for one in findings)) == (13, 3)
        assert not any(one.problem for one in findings)


def test_the_commands_that_look_into_a_queue_take_its_url(opened, tmp_path):
    queue = opened()
    queue.put(a_request(b"waits", OTHER_ROUTE))
    queue.put(a_request(b"dead"))
    queue.bury(queue.take(ROUTE, PATIENCE), "HTTP 400")
    assert until(lambda: queue.stats().dead_items == 1, PATIENCE)

    def listed() -> list[dict[str, str]]:
        lines = run("queue", "list", opened.url, "--json").stdout.splitlines()
        return [json.loads(line) for line in lines]

    # Until its consumer commits, twice a second, what was buried is listed as waiting too.
    assert until(lambda: len(listed()) == 2, PATIENCE)
    entries = listed()
    assert [(one["place"], one["reason"]) for one in entries] == [
        (WAITING, ""),
        (DEAD, "HTTP 400"),
    ]
    assert run("queue", "show", opened.url, entries[1]["name"], "--body").stdout == "dead"
    assert run("queue", "verify", opened.url).exit_code == 0
    assert run("queue", "export", opened.url, tmp_path / "all").exit_code == 0
    assert len((tmp_path / "all").read_text().splitlines()) == 2
    assert run("queue", "requeue", opened.url, "--all").exit_code == 0
    assert queue.take(ROUTE, PATIENCE).request.body == b"dead"
    refused = run("queue", "drop", opened.url, "--all", "--place", "waiting", "--yes")
    assert "stop them" in refused.stderr


def test_who_takes_part_is_told_in_the_log(opened, caplog):
    caplog.set_level(logging.INFO)
    queue = opened()
    queue.put(a_request())
    queue.take(ROUTE, PATIENCE)
    assert "assigned partitions [0, 1, 2" in caplog.text
