"""What is asked of a topic, without Kafka, and the settings of its clients."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("confluent_kafka", reason="no confluent-kafka")

from livedebug_sender import ConfigError
from livedebug_sender.forwarder.queue.kafka.clients import RESERVED, kafka_place
from livedebug_sender.forwarder.queue.kafka.spreading import by_route
from livedebug_sender.forwarder.queue.kafka.topic import Topic, rejection_reason, warnings

BROKERS = "k1:9092,k2:9092"
GOOD = {"min.insync.replicas": "2", "cleanup.policy": "delete", "retention.ms": "86400000"}
HOUR = 3_600_000


def a_topic(replicas=3, partitions=12, broker_ids=(1, 2, 3), **settings):
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return Topic("requests", partitions, replicas, {**GOOD, **named}, broker_ids)


def test_a_topic_with_three_replicas_two_of_them_in_sync_is_good():
    assert rejection_reason(a_topic(), BROKERS, 3) == ""
    assert warnings(a_topic(), BROKERS, 12 * HOUR, 4) == []


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        (a_topic(min_insync_replicas="1"), "--add-config min.insync.replicas=2"),
        (a_topic(cleanup_policy="compact,delete"), "--add-config cleanup.policy=delete"),
        (a_topic(min_insync_replicas="4"), "nothing can be written"),
        (a_topic(max_message_bytes="1000"), "--add-config max.message.bytes=1048588"),
        (a_topic(replicas=2), "kafka-reassign-partitions.sh --bootstrap-server k1:9092"),
        (a_topic(replicas=2), "--kafka-min-replicas 2"),
        (a_topic(replicas=1, broker_ids=(1,)), "the cluster has 1 brokers"),
    ],
)
def test_what_cannot_keep_the_promise_is_refused_with_what_mends_it(topic, words):
    assert words in rejection_reason(topic, BROKERS, 3)


def test_the_command_for_more_replicas_gives_each_partition_three_brokers():
    words = rejection_reason(a_topic(replicas=1, broker_ids=(4, 5, 6, 7)), BROKERS, 3)
    plan = json.loads(re.search(r"echo '([^']+)'", words)[1])
    assert [one["partition"] for one in plan["partitions"]] == list(range(12))
    assert all(len(set(one["replicas"])) == 3 for one in plan["partitions"])


def test_one_replica_is_good_where_it_is_meant():
    assert rejection_reason(a_topic(replicas=1, min_insync_replicas="1"), BROKERS, 1) == ""


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        (a_topic(retention_ms=str(HOUR)), "--add-config retention.ms=86400000"),
        (a_topic(retention_bytes="1000000"), "--add-config retention.bytes=-1"),
        (a_topic(unclean_leader_election_enable="true"), "may elect a leader"),
        (a_topic(partitions=2), "--alter --topic requests --partitions 12"),
    ],
)
def test_what_loses_or_holds_up_requests_is_a_warning_with_what_mends_it(topic, words):
    (warning,) = warnings(topic, BROKERS, 12 * HOUR, 4)
    assert words in warning


def test_retention_for_ever_is_no_warning():
    assert warnings(a_topic(retention_ms="-1"), BROKERS, 12 * HOUR, 4) == []


@pytest.mark.parametrize("partitions", range(1, 30))
def test_each_route_has_partitions_and_shares_none_that_it_need_not(partitions):
    routes = ("a", "b", "c", "d")
    spread = by_route(routes, partitions)
    used = sorted({n for numbers in spread.values() for n in numbers})
    assert used == list(range(partitions))
    if partitions >= len(routes):
        assert sum(map(len, spread.values())) == partitions


@pytest.mark.parametrize(
    "url",
    [
        "kafka://host/topic",
        "kafka://user:secret@host:9092/topic",
        "kafka://host:9092,/topic",
        "kafka://host:9092/to/pic",
        "kafka://host:9092/..",
        "kafka://host:9092/" + "x" * 201,
        "kafka://host:9092/tøpic",
    ],
)
def test_a_url_that_names_no_topic_is_refused(url):
    with pytest.raises(ConfigError, match="expected: "):
        kafka_place(url)


def test_properties_are_read_and_never_shown(tmp_path):
    path = tmp_path / "kafka.properties"
    path.write_text("# ours\n\nsasl.password = a=b#c \nsecurity.protocol=SASL_SSL\n")
    path.chmod(0o600)
    place = kafka_place("kafka://[::1]:9092,b:1/topic", str(path))
    assert place.properties == {"sasl.password": "a=b#c", "security.protocol": "SASL_SSL"}
    assert (place.brokers, place.topic) == ("[::1]:9092,b:1", "topic")
    assert "a=b#c" not in repr(place) + str(place)


def test_a_file_that_everybody_can_read_is_a_warning(tmp_path, caplog):
    path = tmp_path / "kafka.properties"
    path.write_text("sasl.password=hunter2\n")
    path.chmod(0o644)
    kafka_place("kafka://b:1/topic", str(path))
    assert "chmod 600" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "line", ["hunter2", "Bad Name=hunter2", *(f"{n}=hunter2" for n in sorted(RESERVED))]
)
def test_a_line_that_is_none_or_breaks_the_promise_is_refused_without_its_value(tmp_path, line):
    path = tmp_path / "kafka.properties"
    path.write_text(f"client.rack=a\n{line}\n")
    with pytest.raises(ConfigError, match="line 2") as refused:
        kafka_place("kafka://b:1/topic", str(path))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_missing_is_refused_by_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.*No such file"):
        kafka_place("kafka://b:1/topic", str(tmp_path / "nowhere"))
