"""The Kafka clients' settings: the URL's, the user's file's, and those the promise needs."""

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
#: librdkafka's own lines, many of them in an outage. What they mean for requests, the queue
#: says; they are for who gives this logger a level.
_client_logger = logging.getLogger("livedebug_sender.kafka")
if _client_logger.level == logging.NOTSET:
    _client_logger.setLevel(logging.CRITICAL + 1)

#: Not for the user's file: by these the promise is kept.
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
    """A topic, and how to reach it. `properties` may hold secrets.

    Attributes:
        brokers: ``host:port``, divided by commas.
        topic: where requests wait.
        properties: librdkafka's, of the user's file.
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
        """Without members: its offsets say which dead letters were requeued or dropped."""
        return f"{self.topic}.dead.settled"

    def __str__(self) -> str:
        return f"kafka://{self.brokers}/{self.topic}"


def kafka_place(url: str, properties_file: str = "") -> KafkaPlace:
    """The place of a ``kafka://host:port[,host:port...]/topic``.

    Args:
        properties_file: see `read_properties`; "": none.

    Raises:
        ConfigError: says what is wrong with which of the two.
    """
    brokers, topic = parse_kafka_url(url)
    properties = read_properties(Path(properties_file)) if properties_file else {}
    return KafkaPlace(brokers, topic, properties)


def read_properties(path: Path) -> dict[str, str]:
    """librdkafka's properties, a ``name=value`` on each line; ``#`` begins a comment line.

    Raises:
        ConfigError: without any value: they may be secrets.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"the Kafka properties {str(path)!r:.200} can't be read: {why}") from None
    if path.stat().st_mode & 0o004:
        logger.warning("everybody on this machine can read %s; chmod 600 it", path)
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
            raise ConfigError(f"{path}, line {number}: {name} is not yours to set")
        properties[name] = value.strip()
    return properties


def common_settings(place: KafkaPlace) -> dict[str, Any]:
    """Of every client."""
    return {
        "client.id": f"livedebug-sender-{__version__}",
        # Back soon after an outage, and still no storm.
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2000,
        # What is not reachable at all is noticed; quiet connections stay.
        "socket.connection.setup.timeout.ms": 5000,
        "socket.keepalive.enable": True,
        **place.properties,
        "bootstrap.servers": place.brokers,
    }


def make(kind: Callable[..., _Client], settings: dict[str, Any]) -> _Client:
    """A client; ConfigError, without values, if librdkafka won't have the settings."""
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
    return f"the Kafka client refuses its settings: {text:.300}"


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
    put_timeout: seconds after which a record that is not confirmed has failed.
    limit: bytes of a request to the broker; not above the topic's ``max.message.bytes``.
    """
    return {
        # Measured: a wait for company only adds to the latency; what comes while five
        # requests are under way shares the next one.
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
    """Of a member of the group."""
    return {
        # One that died is noticed in 15 s (its default: 45).
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
    """Of whoever reads."""
    return {
        "group.id": place.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "check.crcs": True,
        "isolation.level": "read_committed",
    }
