"""Checks a topic before it is used, and creates it if there is none."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from ....errors import ConfigError
from ....units import MiB
from ..request_queue import QueueOptions, QueueUnreachable
from .clients import ConnectionErrors, KafkaPlace, admin
from .records import OVERHEAD

logger = logging.getLogger("livedebug_sender")

#: Partitions of a created topic: three for each route. This is the maximum number of processes
#: that deliver.
PARTITIONS = 12
#: Seconds to wait for the brokers' response.
PATIENCE = 15.0
#: Attempts to describe a topic that only some brokers know, a tenth of a second apart.
_TRIES = 50
#: A topic whose records may not be larger than this is refused.
_MIN_MESSAGE_BYTES = 16 * 1024
_DAY = 86_400_000
_NO_ANSWER = (
    kafka.KafkaError._TRANSPORT,
    kafka.KafkaError._TIMED_OUT,
    kafka.KafkaError._RESOLVE,
    kafka.KafkaError._ALL_BROKERS_DOWN,
)


@dataclass(frozen=True)
class Topic:
    """A topic as described by the brokers.

    Attributes:
        replicas: of the partition that has the fewest.
        settings: by Kafka's names.
        broker_ids: of the whole cluster.
    """

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]
    broker_ids: tuple[int, ...]

    def number(self, setting: str, default: int) -> int:
        try:
            return int(self.settings[setting])
        except (KeyError, ValueError):
            return default

    @property
    def max_message_bytes(self) -> int:
        return self.number("max.message.bytes", 1_048_588)


def min_insync(min_replicas: int) -> int:
    """The required ``min.insync.replicas`` for `min_replicas`: one may be down for a while."""
    return max(1, min_replicas - 1)


def checked_topics(place: KafkaPlace, options: QueueOptions) -> tuple[Topic, Topic]:
    """The topic, and that of its dead letters, created if they are missing.

    Raises:
        QueueUnreachable: no broker answers.
        ConfigError: a topic is not durable enough; the message has the command that fixes it.
    """
    max_age = int(options.max_age * 1000)
    waiting = {
        "cleanup.policy": "delete",
        "retention.ms": str(max(2 * max_age, _DAY)),
        "retention.bytes": "-1",
    }
    dead = {
        "cleanup.policy": "delete",
        "retention.ms": str(7 * _DAY),
        "retention.bytes": str(options.max_dead_bytes),
        # Retention does not delete the active segment, so segments must be small.
        "segment.bytes": str(max(MiB, min(64 * MiB, options.max_dead_bytes // 4))),
    }
    with _admin_of(place) as client:
        topics = (
            _had(client, place.topic, PARTITIONS, waiting, options),
            _had(client, place.dead_topic, 1, dead, options),
        )
    for topic in topics:
        wrong = rejection_reason(topic, place.brokers, options.kafka_min_replicas)
        if wrong:
            raise ConfigError(wrong)
    for words in warnings(topics[0], place.brokers, max_age, len(options.routes)):
        logger.warning("%s", words)
    return topics


def described_topic(place: KafkaPlace, name: str) -> Topic:
    """Describe an existing topic.

    Raises:
        QueueUnreachable: no broker answers.
        ConfigError: it does not exist.
    """
    with _admin_of(place) as client:
        topic = _described(client, name)
    if topic is None:
        raise ConfigError(f"there is no Kafka topic {name!r} at {place.brokers}")
    return topic


def rejection_reason(topic: Topic, brokers: str, min_replicas: int) -> str:
    """Why this topic can't be used as a queue, and what to do; "": it can."""
    if topic.replicas < min_replicas:
        return (
            f"the Kafka topic {topic.name!r} has {topic.replicas} replicas, expected: at least "
            f"{min_replicas}; {_more_replicas(topic, brokers, min_replicas)}, or allow it with "
            f"--kafka-min-replicas {topic.replicas}"
        )
    insync = topic.number("min.insync.replicas", 1)
    wanted = min_insync(min_replicas)
    if insync < wanted:
        return (
            f"the Kafka topic {topic.name!r} has min.insync.replicas={insync}, expected: at least "
            f"{wanted}; {_alter(topic, brokers, f'min.insync.replicas={wanted}')}"
        )
    if insync > topic.replicas:
        return (
            f"the Kafka topic {topic.name!r} has min.insync.replicas={insync} and "
            f"{topic.replicas} replicas: nothing can be written to it; "
            f"{_alter(topic, brokers, f'min.insync.replicas={max(1, topic.replicas - 1)}')}"
        )
    if "compact" in topic.settings.get("cleanup.policy", ""):
        return (
            f"the Kafka topic {topic.name!r} is compacted, which would delete requests; "
            f"{_alter(topic, brokers, 'cleanup.policy=delete')}"
        )
    if topic.max_message_bytes < _MIN_MESSAGE_BYTES + OVERHEAD:
        return (
            f"the Kafka topic {topic.name!r} has max.message.bytes={topic.max_message_bytes}, "
            f"expected: at least {_MIN_MESSAGE_BYTES + OVERHEAD}; "
            f"{_alter(topic, brokers, 'max.message.bytes=1048588')}"
        )
    return ""


def warnings(topic: Topic, brokers: str, max_age: int, routes: int) -> list[str]:
    """Settings that may have unexpected effects. `max_age` in milliseconds."""
    found = []
    retention = topic.number("retention.ms", -1)
    if 0 <= retention < max_age:
        found.append(
            f"the Kafka topic {topic.name!r} deletes what is older than {retention / 1000:g} s, "
            f"delivered or not, before --max-age ({max_age / 1000:g} s); "
            f"{_alter(topic, brokers, f'retention.ms={2 * max_age}')}"
        )
    size = topic.number("retention.bytes", -1)
    if size >= 0:
        found.append(
            f"the Kafka topic {topic.name!r} deletes the oldest, delivered or not, once a "
            f"partition has {size} bytes; {_alter(topic, brokers, 'retention.bytes=-1')}"
        )
    if topic.settings.get("unclean.leader.election.enable") == "true":
        found.append(
            f"the Kafka topic {topic.name!r} may elect a leader that lacks confirmed requests; "
            f"{_alter(topic, brokers, 'unclean.leader.election.enable=false')}"
        )
    if topic.partitions < routes:
        found.append(
            f"the Kafka topic {topic.name!r} has {topic.partitions} partitions for {routes} "
            "routes: a blocked route may block others; run: kafka-topics.sh "
            f"--bootstrap-server {_first(brokers)} --alter --topic {topic.name} "
            f"--partitions {PARTITIONS}"
        )
    return found


def _first(brokers: str) -> str:
    return brokers.partition(",")[0]


def _alter(topic: Topic, brokers: str, setting: str) -> str:
    return (
        f"run: kafka-configs.sh --bootstrap-server {_first(brokers)} --alter "
        f"--entity-type topics --entity-name {topic.name} --add-config {setting}"
    )


def _more_replicas(topic: Topic, brokers: str, wanted: int) -> str:
    ids = topic.broker_ids
    if len(ids) < wanted:
        return f"the cluster has {len(ids)} brokers, so add some first"
    plan = {
        "version": 1,
        "partitions": [
            {
                "topic": topic.name,
                "partition": number,
                "replicas": [ids[(number + n) % len(ids)] for n in range(wanted)],
            }
            for number in range(topic.partitions)
        ],
    }
    return (
        f"run: echo '{json.dumps(plan, separators=(',', ':'))}' > plan.json && "
        f"kafka-reassign-partitions.sh --bootstrap-server {_first(brokers)} "
        "--reassignment-json-file plan.json --execute"
    )


@contextmanager
def _admin_of(place: KafkaPlace) -> Iterator[AdminClient]:
    """Turns the client's errors into `QueueUnreachable`."""
    errors = ConnectionErrors()
    client = admin(place, errors)
    try:
        yield client
    except kafka.KafkaException as error:
        client.poll(0)  # calls `errors`
        cause = error.args[0]
        if cause.code() not in _NO_ANSWER:
            raise QueueUnreachable(f"{place}: {cause.str()} ({cause.name()})") from None
        raise QueueUnreachable(
            f"no Kafka broker of {place} answers within {PATIENCE:g} s: "
            f"{errors.last or cause.str()}; expected: host:port of brokers that can be reached "
            "from here; settings they require (TLS, SASL) go into LIVEDEBUG_FORWARDER_KAFKA_CONFIG"
        ) from None


def _had(
    client: AdminClient,
    name: str,
    partitions: int,
    settings: Mapping[str, str],
    options: QueueOptions,
) -> Topic:
    """The topic; created if it is missing."""
    topic = _described(client, name)
    if topic is None:
        _make(client, name, partitions, settings, options.kafka_min_replicas)
        logger.info("created the Kafka topic %r, with %d partitions", name, partitions)
        topic = _described(client, name, wait=True)
    assert topic is not None
    return topic


def _make(
    client: AdminClient, name: str, partitions: int, settings: Mapping[str, str], replicas: int
) -> None:
    brokers = len(client.list_topics(timeout=PATIENCE).brokers)
    if brokers < replicas:
        raise ConfigError(
            f"the Kafka topic {name!r} is missing, and the cluster has {brokers} brokers for its "
            f"{replicas} replicas; add brokers, or allow it with --kafka-min-replicas "
            f"{brokers}"
        )
    config = {
        **settings,
        "min.insync.replicas": str(min_insync(replicas)),
        "unclean.leader.election.enable": "false",
        # Retention is by the brokers' clocks, not by a forwarder's.
        "message.timestamp.type": "LogAppendTime",
    }
    new = NewTopic(name, partitions, replicas, config=config)
    try:
        client.create_topics([new], operation_timeout=PATIENCE)[name].result(PATIENCE + 5)
    except kafka.KafkaException as error:
        # Another forwarder created it first.
        if error.args[0].code() != kafka.KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _described(client: AdminClient, name: str, wait: bool = False) -> Topic | None:
    """None: there is no such topic. With `wait`: it exists, but some brokers may not know yet."""
    for left in reversed(range(_TRIES)):
        try:
            return _described_now(client, name)
        except kafka.KafkaException as error:
            if error.args[0].code() != kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            # Some brokers learn about a new topic later than others.
            if not (left and (wait or _is_there(client, name))):
                return None
        client.poll(0.1)
    return None


def _is_there(client: AdminClient, name: str) -> bool:
    return client.list_topics(name, timeout=PATIENCE).topics[name].error is None


def _described_now(client: AdminClient, name: str) -> Topic:
    cluster = client.list_topics(name, timeout=PATIENCE)
    found = cluster.topics[name]
    if found.error is not None:
        raise kafka.KafkaException(found.error)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    entries = client.describe_configs([resource])[resource].result(PATIENCE)
    return Topic(
        name,
        len(found.partitions),
        min((len(one.replicas) for one in found.partitions.values()), default=0),
        {key: entry.value for key, entry in entries.items() if entry.value is not None},
        tuple(sorted(cluster.brokers)),
    )
