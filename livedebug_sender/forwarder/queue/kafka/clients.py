"""The Kafka clients' settings: from the URL, from the user's file, and required ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ....errors import ConfigError
from ....version import __version__
from .url import parse_kafka_url

try:
    import confluent_kafka as kafka
    from confluent_kafka.admin import AdminClient
except ImportError as error:  # pragma: no cover - the tests have the extra
    raise ConfigError(
        "a queue in Kafka needs confluent-kafka: pip install 'livedebug-sender[kafka]'"
    ) from error

logger = logging.getLogger("livedebug_sender")
#: For librdkafka's own log lines, many in an outage; they appear if this logger is given a level.
#: The queue itself logs what they mean for requests.
_client_logger = logging.getLogger("livedebug_sender.kafka")
if _client_logger.level == logging.NOTSET:
    _client_logger.setLevel(logging.CRITICAL + 1)

#: Not allowed in the user's file: durability depends on these.
RESERVED = frozenset(
    (
        "acks",
        "request.required.acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "metadata.broker.list",
        "check.crcs",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.protocol",
        "isolation.level",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "partition.assignment.strategy",
        "transactional.id",
    )
)

_Client = TypeVar("_Client")


@dataclass(frozen=True)
class KafkaPlace:
    """A topic, and how to reach it. `properties` may contain secrets.

    Attributes:
        brokers: ``host:port``, separated by commas.
        topic: the topic of waiting requests.
        properties: librdkafka properties from the user's file.
    """

    brokers: str
    topic: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def dead_topic(self) -> str:
        return f"{self.topic}.dead"

    @property
    def group(self) -> str:
        """The consumer group of all forwarders on this topic."""
        return f"{self.topic}.forwarders"

    @property
    def dead_group(self) -> str:
        """A group without members, whose offsets record which dead letters were settled."""
        return f"{self.topic}.dead.settled"

    def __str__(self) -> str:
        return f"kafka://{self.brokers}/{self.topic}"


def kafka_place(url: str, properties_file: str = "") -> KafkaPlace:
    """The place of a ``kafka://host:port[,host:port...]/topic``.

    Args:
        properties_file: see `read_properties`; "": none.

    Raises:
        ConfigError: names which of the two is invalid, and why.
    """
    brokers, topic = parse_kafka_url(url)
    properties = read_properties(Path(properties_file)) if properties_file else {}
    return KafkaPlace(brokers, topic, properties)


def read_properties(path: Path) -> dict[str, str]:
    """librdkafka properties, one ``name=value`` per line; ``#`` starts a comment line.

    Raises:
        ConfigError: the message shows no values, which may be secrets.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"the Kafka properties {str(path)!r:.200} can't be read: {why}") from None
    if path.stat().st_mode & 0o004:
        logger.warning("every user of this machine can read %s; chmod 600 it", path)
    properties: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not re.match(r"[a-z0-9_.]+\Z", name):
            raise ConfigError(f"{path}, line {number}: expected: name=value")
        if name in RESERVED:
            raise ConfigError(f"{path}, line {number}: {name} is set by the forwarder; remove it")
        properties[name] = value.strip()
    return properties


def common_settings(place: KafkaPlace) -> dict[str, Any]:
    """Settings of every client."""
    return {
        "client.id": f"livedebug-sender-{__version__}",
        # Reconnect soon after an outage, without a connection storm.
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2000,
        # Detects unreachable brokers, but keeps idle connections.
        "socket.connection.setup.timeout.ms": 5000,
        "socket.keepalive.enable": True,
        **place.properties,
        "bootstrap.servers": place.brokers,
    }


def make(kind: Callable[..., _Client], settings: dict[str, Any]) -> _Client:
    """Create a client; ConfigError, without values, if librdkafka rejects the settings."""
    try:
        return kind(settings, logger=_client_logger)
    except kafka.KafkaException as error:
        raise ConfigError(_without_values(str(error.args[0].str()), settings)) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(_without_values(str(error), settings)) from None


def _without_values(text: str, settings: Mapping[str, Any]) -> str:
    for name, value in settings.items():
        if isinstance(value, str) and len(value) > 1 and name != "bootstrap.servers":
            text = text.replace(value, "***")
    return f"the Kafka client rejects its settings: {text:.300}"


class ConnectionErrors:
    """Why the last connection to a broker failed; a client's ``error_cb``."""

    last = ""

    def __call__(self, error: kafka.KafkaError) -> None:
        if error.code() != kafka.KafkaError._ALL_BROKERS_DOWN:
            self.last = error.str().partition(": ")[2].partition(" (after")[0]


def admin(place: KafkaPlace, errors: ConnectionErrors) -> AdminClient:
    return make(AdminClient, {**common_settings(place), "error_cb": errors})


def producer_settings(place: KafkaPlace, put_timeout: float, limit: int) -> dict[str, Any]:
    """Args:
    put_timeout: seconds after which an unconfirmed record has failed.
    limit: bytes of a request to the broker; not above the topic's ``max.message.bytes``.
    """
    return {
        # Measured: lingering only adds latency; records that arrive while five requests are in
        # flight share the next request.
        "linger.ms": 0,
        "compression.type": "lz4",
        **common_settings(place),
        "acks": "all",
        "enable.idempotence": True,
        "message.max.bytes": limit,
        "batch.size": limit,
        "message.timeout.ms": max(1000, int(put_timeout * 1000)),
    }


def consumer_settings(place: KafkaPlace, events: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a member of the group."""
    return {
        # A dead member is detected in 15 s (the default: 45 s).
        "session.timeout.ms": 15_000,
        "heartbeat.interval.ms": 3000,
        "fetch.wait.max.ms": 200,
        "queued.max.messages.kbytes": 16_384,
        **common_settings(place),
        **reading_settings(place),
        "partition.assignment.strategy": "cooperative-sticky",
        "auto.offset.reset": "earliest",
        **events,
    }


def reading_settings(place: KafkaPlace) -> dict[str, Any]:
    """Settings of all clients that read."""
    return {
        "group.id": place.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "check.crcs": True,
        "isolation.level": "read_committed",
    }
