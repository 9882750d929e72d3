"""The forwarder's own options, each given on the command line or as a variable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ConfigError
from ..units import MiB, parse_count, parse_seconds, parse_size
from .queue.opening import MEMORY, check_queue_url

#: ``LIVEDEBUG_FORWARDER_MODE`` and so on.
PREFIX = "LIVEDEBUG_FORWARDER_"
PASS_THROUGH = "pass-through"
STORE_AND_FORWARD = "store-and-forward"
MODES = (PASS_THROUGH, STORE_AND_FORWARD)
ONE_CORE = "one"
CORES = (ONE_CORE, "any")

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        parse: converts (name for the message, given value), or raises ConfigError.
        default: as shown in the help; `value` is the same, parsed.
        choices: all possible values, if there are few.
    """

    name: str
    parse: Callable[[str, object], object]
    default: str
    help: str
    value: object
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def is_flag(self) -> bool:
        return self.parse is _parse_flag

    @property
    def metavar(self) -> str | None:
        """The name of its value in the help; None if it is not a quantity."""
        return _METAVARS.get(self.parse)


def _choice(name: str, choices: tuple[str, ...], help: str) -> Option:
    """An option with few values, the first of which is the default."""

    def parse(name: str, value: object) -> object:
        if value not in choices:
            raise ConfigError(f"{name} is {value!r:.80}; expected: {' or '.join(choices)}")
        return value

    return Option(name, parse, choices[0], help, choices[0], choices)


def _parse_flag(name: str, value: object) -> object:
    found = _BOOLEANS.get(str(value).lower())
    if found is None:
        raise ConfigError(f"{name} is {value!r:.80}; expected: true or false")
    return found


def _parse_queue(name: str, value: object) -> object:
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r:.80}; expected: a str")
    return check_queue_url(value)


def _parse_path(name: str, value: object) -> object:
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r:.80}; expected: the path of a file")
    return value


def _parse_workers(name: str, value: object) -> object:
    return None if value is None else parse_count(name, value)


_METAVARS = {
    parse_size: "SIZE",
    parse_seconds: "TIME",
    parse_count: "COUNT",
    _parse_workers: "COUNT",
}

OPTIONS = (
    _choice(
        "mode",
        MODES,
        "What a tracer gets: the intake's answer, or a 202 at once (store-and-forward).",
    ),
    Option("workers", _parse_workers, "one for each core", "Worker processes.", None),
    _choice(
        "worker_cores",
        CORES,
        "The cores that a worker's threads may use: one, the next one for each worker, or any.",
    ),
    Option("timeout", parse_seconds, "10s", "For one request to the intake.", 10.0),
    Option("max_body_bytes", parse_size, "25MiB", "The largest body that is accepted.", 25 * MiB),
    Option("max_at_once", parse_count, "64", "Requests in flight at once; more get a 503.", 64),
    Option(
        "max_at_once_bytes",
        parse_size,
        "256MiB",
        "Bytes of bodies in flight at once; more get a 503.",
        256 * MiB,
    ),
    Option(
        "receive_timeout", parse_seconds, "30s", "For a tracer to send a complete request.", 30.0
    ),
    Option(
        "swallow_others",
        _parse_flag,
        "false",
        "Answer 200 to traces, telemetry and the like, and discard them.",
        False,
    ),
    Option(
        "queue",
        _parse_queue,
        MEMORY,
        "Where stored requests wait: memory, disk:/path/to/folder or "
        "kafka://host:port[,host:port...]/topic; all but memory imply store-and-forward.",
        MEMORY,
    ),
    Option(
        "queue_items",
        parse_count,
        "20000",
        "store-and-forward, in memory: requests that may wait; more get a 429.",
        20_000,
    ),
    Option(
        "queue_bytes",
        parse_size,
        "256MiB",
        "store-and-forward: bytes that may wait; more get a 429.",
        256 * MiB,
    ),
    Option(
        "queue_min_free",
        parse_size,
        "256MiB",
        "A queue on a disk refuses requests while less space than that is free.",
        256 * MiB,
    ),
    Option(
        "kafka_min_replicas",
        parse_count,
        "3",
        "A queue in Kafka refuses a topic with fewer replicas.",
        3,
    ),
    Option(
        "kafka_config",
        _parse_path,
        "none",
        "A file of librdkafka properties (TLS, SASL) for a queue in Kafka.",
        "",
    ),
    Option(
        "max_age",
        parse_seconds,
        "12h",
        "store-and-forward: age at which a request is dropped.",
        12 * 3600.0,
    ),
    Option(
        "connections",
        parse_count,
        "4",
        "store-and-forward: concurrent requests to the intake, for each route.",
        4,
    ),
    Option("grace", parse_seconds, "8s", "Time to shut down after SIGTERM.", 8.0),
)
