"""Parses ``kafka://host:port[,host:port...]/topic``. Needs no Kafka client."""

from __future__ import annotations

import re

from ....errors import ConfigError

SCHEME = "kafka://"

#: Valid names of topics and groups (Kafka's own rule).
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,200}\Z")
_BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/,@\[\]]+):\d{1,5}\Z")


def parse_kafka_url(url: str) -> tuple[str, str]:
    """The brokers, separated by commas, and the topic; ConfigError for an invalid URL."""
    brokers, _, topic = url.removeprefix(SCHEME).partition("/")
    for broker in brokers.split(","):
        if not _BROKER.match(broker):
            raise ConfigError(
                f"the queue is {url!r:.200}: {broker!r:.80} is not host:port; expected: "
                f"{SCHEME}host:port[,host:port...]/topic; user names and the like go into the "
                "file of --kafka-config"
            )
    if not _TOPIC.match(topic) or topic in (".", ".."):
        raise ConfigError(
            f"the queue is {url!r:.200}: the topic is {topic!r:.80}; expected: at most 200 "
            "letters, digits, dots, dashes and underscores"
        )
    return brokers, topic
