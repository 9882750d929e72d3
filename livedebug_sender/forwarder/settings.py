"""What a forwarder is told: by the Agent's own variables, and by a few of its own."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..environment import additional_endpoints, checked, value_of
from ..errors import ConfigError
from ..protocol.endpoint import DEFAULT_SITE, Endpoint, check_api_key, check_site
from ..protocol.tags import check_tags
from ..units import MiB
from ..version import __version__
from .queue.opening import MEMORY, check_queue_url
from .queue.request_queue import FLOODING_SHARE
from .routes import ROUTES, Route

#: The options of the forwarder itself: ``LIVEDEBUG_FORWARDER_MODE`` and so on.
PREFIX = "LIVEDEBUG_FORWARDER_"
PASS_THROUGH = "pass-through"
STORE_AND_FORWARD = "store-and-forward"
MODES = (PASS_THROUGH, STORE_AND_FORWARD)

#: Bytes of the request line and the headers of one request.
MAX_HEAD = 64 * 1024


_DEFAULT_ENV = "none"  # the Agent's


@dataclass(frozen=True)
class Settings:
    """Times in seconds, sizes in bytes.

    Args:
        destinations: by path of a route: its endpoints, primary first.
        host_tags: what comes before the tags of every request.
        mode: ``"pass-through"`` or ``"store-and-forward"``.
        timeout: for the intake's answer, connecting and sending included.
        max_body_bytes: of one request.
        max_at_once, max_at_once_bytes: requests, and their bodies, in hand at once.
        receive_timeout: for a tracer to send a request whole.
        queue: where stored requests wait: ``"memory"``, ``"disk:/path/to/folder"`` or
            ``"kafka://host:port[,host:port...]/topic"``. Any but ``"memory"`` means the mode
            ``"store-and-forward"``.
        queue_items, queue_bytes: store-and-forward: what may wait, in all workers together;
            the items in memory only.
        queue_min_free: a queue on a disk takes nothing more below so much free space.
        kafka_min_replicas: a queue in Kafka refuses a topic with fewer replicas.
        kafka_config: a file of librdkafka properties for a queue in Kafka; "": none.
        max_age: store-and-forward: how old a request may get; then it is dropped.
        connections: store-and-forward: requests under way to the intake, for each route.
        grace: to end after SIGTERM.
    """

    destinations: Mapping[str, tuple[Endpoint, ...]] = field(repr=False)
    host_tags: str
    mode: str = PASS_THROUGH
    timeout: float = 10.0
    max_body_bytes: int = 25 * MiB
    max_at_once: int = 64
    max_at_once_bytes: int = 256 * MiB
    receive_timeout: float = 30.0
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
        if self.mode not in MODES:
            raise ConfigError(f"the mode is {self.mode!r:.80}; wanted: {' or '.join(MODES)}")
        check_queue_url(self.queue)
        if self.queue != MEMORY:
            object.__setattr__(self, "mode", STORE_AND_FORWARD)
        for option in OPTIONS:
            if option.type != "str":
                _check_positive(option.name, getattr(self, option.name))
        if self.max_body_bytes > self.max_at_once_bytes:
            raise ConfigError(
                f"max_body_bytes is {self.max_body_bytes}, more than max_at_once_bytes "
                f"({self.max_at_once_bytes}): no such body would ever be taken"
            )
        share = self.queue_bytes * FLOODING_SHARE
        if self.mode == STORE_AND_FORWARD and self.max_body_bytes + 2 * MAX_HEAD > share:
            raise ConfigError(
                f"queue_bytes is {self.queue_bytes}: a body of max_body_bytes "
                f"({self.max_body_bytes}) would never fit; give more queue_bytes, or a lower "
                "max_body_bytes"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Settings of the environment (None: the process's); what is `given` comes first.

        Raises:
            ConfigError: names the variable and what is wrong, never a key.
        """
        environ = os.environ if environ is None else environ
        options = {**_options(environ), **given}
        timeout = options.get("timeout", cls.timeout)
        _check_positive("timeout", timeout)
        destinations = {path: _endpoints(environ, route) for path, route in ROUTES.items()}
        return cls(
            destinations={
                path: tuple(replace(endpoint, timeout=timeout) for endpoint in endpoints)
                for path, endpoints in destinations.items()
            },
            host_tags=_host_tags(environ),
            **options,
        )


#: The fields that have an option of their own.
OPTIONS = [one for one in fields(Settings) if one.name not in ("destinations", "host_tags")]


def _options(environ: Mapping[str, str]) -> dict[str, Any]:
    kinds = {"int": int, "float": float, "str": str}
    options: dict[str, Any] = {}
    for option in OPTIONS:
        name = PREFIX + option.name.upper()
        text = value_of(environ, name)
        if not text:
            continue
        try:
            options[option.name] = kinds[str(option.type)](text)
        except ValueError:
            kind = "whole number" if option.type == "int" else "number"
            raise ConfigError(f"{name} is {text!r:.80}; a {kind} is wanted") from None
    return options


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
                "is no intake; wanted: https://host/path"
            )
    return endpoints


def _api_key(environ: Mapping[str, str], route: Route) -> str:
    own = f"{route.variable}_API_KEY"
    name = own if value_of(environ, own) else "DD_API_KEY"
    key = value_of(environ, name)
    if not key:
        raise ConfigError(
            f"no API key for {route.path}: set DD_API_KEY (or {own}); the intake wants one"
        )
    checked(name, check_api_key, key)
    return key


def _host_tags(environ: Mapping[str, str]) -> str:
    values = {
        "DD_HOSTNAME": value_of(environ, "DD_HOSTNAME") or socket.gethostname(),
        "DD_ENV": value_of(environ, "DD_ENV") or _DEFAULT_ENV,
    }
    for name, value in values.items():
        checked(name, check_tags, value)
        if "," in value or len(value) > 255:
            raise ConfigError(f"{name} is {value!r:.80}; at most 255 characters, no comma")
    host, env = values.values()
    return f"host:{host},default_env:{env},agent_version:{__version__}"


def _check_positive(name: str, value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type,operator]
        raise ConfigError(f"{name} is {value!r:.80}; a positive number is wanted")
