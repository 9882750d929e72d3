"""The forwarder's settings: the Agent's environment variables, and a few of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..environment import additional_endpoints, checked, value_of
from ..errors import ConfigError
from ..protocol.endpoint import DEFAULT_SITE, Endpoint, check_api_key, check_site
from ..protocol.tags import check_tags
from ..units import MiB, parse_seconds
from ..version import __version__
from .default_env import normalized_env
from .options import ONE_CORE, OPTIONS, PASS_THROUGH, STORE_AND_FORWARD
from .queue.opening import MEMORY
from .queue.request_queue import FLOODING_SHARE
from .routes import ROUTES, Route

#: Bytes of the request line and the headers of one request.
MAX_HEAD = 64 * 1024

_DEFAULT_ENV = "none"  # the Agent's


@dataclass(frozen=True)
class Settings:
    """Times in seconds, sizes in bytes; a str with a unit (`units`) is parsed to them.

    Args:
        destinations: endpoints by path of a route, primary first.
        host_tags: tags that are added before those of every request.
        default_env: the environment in them.
        mode: ``"pass-through"`` or ``"store-and-forward"``.
        workers: processes; None: one for each core (see `processes`).
        worker_cores: ``"one"``: each process keeps to a core of its own; ``"any"``.
        timeout: for the intake's response, including connecting and sending.
        max_body_bytes: maximum body of one request.
        max_at_once, max_at_once_bytes: maximum requests, and bytes of their bodies, in flight.
        receive_timeout: for a tracer to send a complete request.
        swallow_others: accept traces and the like, too, and discard them.
        queue: where stored requests wait: ``"memory"``, ``"disk:/path/to/folder"`` or
            ``"kafka://host:port[,host:port...]/topic"``. Any but ``"memory"`` means the mode
            ``"store-and-forward"``.
        queue_items, queue_bytes: store-and-forward: the size of the queue, in all workers
            together; items apply to a queue in memory only.
        queue_min_free: a disk queue accepts nothing while less space is free.
        kafka_min_replicas: a queue in Kafka refuses a topic with fewer replicas.
        kafka_config: a file of librdkafka properties for a queue in Kafka; "": none.
        max_age: store-and-forward: the age at which a request is dropped.
        connections: store-and-forward: concurrent requests to the intake, for each route.
        grace: the time to shut down after SIGTERM.
    """

    destinations: Mapping[str, tuple[Endpoint, ...]] = field(repr=False)
    host_tags: str
    default_env: str = _DEFAULT_ENV
    mode: str = PASS_THROUGH
    workers: int | None = None
    worker_cores: str = ONE_CORE
    timeout: float = 10.0
    max_body_bytes: int = 25 * MiB
    max_at_once: int = 64
    max_at_once_bytes: int = 256 * MiB
    receive_timeout: float = 30.0
    swallow_others: bool = False
    queue: str = MEMORY
    queue_items: int = 20_000
    queue_bytes: int = 256 * MiB
    queue_min_free: int = 256 * MiB
    kafka_min_replicas: int = 3
    kafka_config: str = ""
    max_age: float = 12 * 3600.0
    connections: int = 4
    grace: float = 8.0

    def __post_init__(self) -> None:
        for option in OPTIONS:
            value = option.parse(option.name, getattr(self, option.name))
            object.__setattr__(self, option.name, value)
        if self.queue != MEMORY:
            object.__setattr__(self, "mode", STORE_AND_FORWARD)
        if self.max_body_bytes > self.max_at_once_bytes:
            raise ConfigError(
                f"max_body_bytes is {self.max_body_bytes}, more than max_at_once_bytes "
                f"({self.max_at_once_bytes}): the largest bodies would never be accepted"
            )
        if self.mode == STORE_AND_FORWARD and not self._fits(self.processes):
            raise ConfigError(
                f"queue_bytes is {self.queue_bytes} for {self.processes} workers: a body of "
                f"max_body_bytes ({self.max_body_bytes}) would never fit; give more queue_bytes, "
                "or fewer workers, or a lower max_body_bytes"
            )

    @property
    def processes(self) -> int:
        """The number of worker processes: by default one per core, if the queue is large enough."""
        if self.workers is not None:
            return self.workers
        processes = len(os.sched_getaffinity(0))
        while self.mode == STORE_AND_FORWARD and processes > 1 and not self._fits(processes):
            processes -= 1
        return processes

    def of_worker(self) -> Settings:
        """The settings of one worker: its share of the queue."""
        processes = self.processes
        return replace(
            self,
            workers=1,
            queue_items=max(1, self.queue_items // processes),
            queue_bytes=self.queue_bytes // processes,
        )

    def _fits(self, processes: int) -> bool:
        """Whether the largest body fits into a worker's share of the queue."""
        share = self.queue_bytes // processes * FLOODING_SHARE
        return self.max_body_bytes + 2 * MAX_HEAD <= share

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Settings from the environment (None: the process's); `given` ones take precedence.

        Raises:
            ConfigError: names the variable and what is wrong, never a key.
        """
        environ = os.environ if environ is None else environ
        options = {**_options(environ), **given}
        timeout = parse_seconds("timeout", options.get("timeout", cls.timeout))
        destinations = {path: _endpoints(environ, route) for path, route in ROUTES.items()}
        return cls(
            destinations={
                path: tuple(replace(endpoint, timeout=timeout) for endpoint in endpoints)
                for path, endpoints in destinations.items()
            },
            host_tags=_host_tags(environ),
            default_env=_default_env(environ),
            **options,
        )


def _options(environ: Mapping[str, str]) -> dict[str, Any]:
    given = {option: value_of(environ, option.variable) for option in OPTIONS}
    return {
        option.name: option.parse(option.variable, text) for option, text in given.items() if text
    }


def _endpoints(environ: Mapping[str, str], route: Route) -> tuple[Endpoint, ...]:
    name = f"{route.variable}_DD_URL"
    url = value_of(environ, name)
    if not url:
        name = "DD_SITE"
        site = value_of(environ, name) or DEFAULT_SITE
        checked(name, check_site, site)
        url = route.intake.format(site=site)
    api_key = _api_key(environ, route)
    primary = checked(name, lambda url: Endpoint(url, api_key), url)
    additional = f"{route.variable}_ADDITIONAL_ENDPOINTS"
    endpoints = (primary, *additional_endpoints(environ, additional))
    for endpoint in endpoints:
        if endpoint.scheme not in ("http", "https"):
            raise ConfigError(
                f"{name if endpoint is primary else additional}: the URL {endpoint.url[:200]!r} "
                "is not an intake; expected: https://host/path"
            )
    return endpoints


def _api_key(environ: Mapping[str, str], route: Route) -> str:
    own = f"{route.variable}_API_KEY"
    name = own if value_of(environ, own) else "DD_API_KEY"
    key = value_of(environ, name)
    if not key:
        raise ConfigError(
            f"no API key for {route.path}: set DD_API_KEY (or {own}); the intake requires one"
        )
    checked(name, check_api_key, key)
    return key


def _host_tags(environ: Mapping[str, str]) -> str:
    host = value_of(environ, "DD_HOSTNAME") or socket.gethostname()
    checked("DD_HOSTNAME", check_tags, host)
    if "," in host or len(host) > 255:
        raise ConfigError(f"DD_HOSTNAME is {host!r:.80}; at most 255 characters, no comma")
    return f"host:{host},default_env:{_default_env(environ)},agent_version:{__version__}"


def _default_env(environ: Mapping[str, str]) -> str:
    return normalized_env(value_of(environ, "DD_ENV") or _DEFAULT_ENV)
