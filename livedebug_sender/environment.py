"""Endpoints and tags from ``DD_*`` variables, as plain values.

No function has the environment as a default value: `help` and the docs would show it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from .errors import ConfigError
from .protocol.endpoint import (
    DEFAULT_SITE,
    Endpoint,
    check_api_key,
    check_url,
    debugger_intake_endpoint,
    derive_endpoint_path,
)
from .protocol.tags import check_tags
from .protocol.tracks import Track

Value = TypeVar("Value")

AGENT_SOCKET = "/var/run/datadog/apm.socket"
_DEFAULT_PORT = "8126"
_API_KEY = "DD_API_KEY"
_AGENTLESS = "DD_AGENTLESS_ENABLED"
#: `decided_by` where no variable decided.
DEFAULT = "the default"
#: Each configures an agent, which is then preferred to an API key.
_AGENT = ("DD_TRACE_AGENT_URL", "DD_AGENT_HOST", "DD_TRACE_AGENT_PORT")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

#: JSON ``{url: [key, ...]}``, as in the Agent; both of the first apply to the debugger tracks.
_ADDITIONAL_DEBUGGER = (
    "DD_APM_DEBUGGER_ADDITIONAL_ENDPOINTS",
    "DD_APM_DEBUGGER_DIAGNOSTICS_ADDITIONAL_ENDPOINTS",
)
_ADDITIONAL_SYMDB = "DD_APM_SYMDB_ADDITIONAL_ENDPOINTS"


class EnvironmentEndpoints(NamedTuple):
    """The endpoints of an environment.

    Attributes:
        decided_by: what decided on the primary endpoint, for the log: ``"DD_API_KEY"``.
    """

    primary: Endpoint
    decided_by: str
    additional_debugger: tuple[Endpoint, ...]
    additional_symdb: tuple[Endpoint, ...]


def endpoints_from_env(
    environ: Mapping[str, str] | None = None, *, agentless: bool | None = None
) -> EnvironmentEndpoints:
    """The endpoints of an environment; see `SenderConfig.from_env` for the rules."""
    environ = os.environ if environ is None else environ
    agentless, decided_by = _mode(environ, agentless)
    primary = _intake(environ, decided_by) if agentless else _agent(environ)
    additional: dict[Endpoint, Endpoint] = {}
    for name in _ADDITIONAL_DEBUGGER:
        for endpoint in additional_endpoints(environ, name):
            # An endpoint in both variables gets one copy.
            additional.setdefault(derive_endpoint_path(endpoint, Track.LOGS), endpoint)
    return EnvironmentEndpoints(
        primary,
        decided_by,
        tuple(additional.values()),
        tuple(additional_endpoints(environ, _ADDITIONAL_SYMDB)),
    )


def _mode(environ: Mapping[str, str], agentless: bool | None) -> tuple[bool, str]:
    """Whether it is agentless, and what decided that: the first that is given."""
    if agentless is not None:
        return agentless, "the argument agentless"
    if value_of(environ, _AGENTLESS):
        return checked(_AGENTLESS, _boolean, value_of(environ, _AGENTLESS)), _AGENTLESS
    for name in _AGENT:
        if value_of(environ, name):
            return False, name
    if _API_KEY in environ:
        return True, _API_KEY
    return False, DEFAULT


def tags_from_env(environ: Mapping[str, str] | None = None) -> str:
    """``env:E,version:V`` and the tags of ``DD_TAGS``; only what is set.

    ``DD_ENV`` and ``DD_VERSION`` override ``env:`` and ``version:`` in ``DD_TAGS``.
    """
    environ = os.environ if environ is None else environ
    tags = []
    named = {"env": value_of(environ, "DD_ENV"), "version": value_of(environ, "DD_VERSION")}
    for key, value in named.items():
        if value:
            tags.append(f"{key}:{value}")
    for tag in re.split(r"[,\s]+", value_of(environ, "DD_TAGS")):
        if tag and not named.get(tag.partition(":")[0]):
            tags.append(tag)
    return checked("DD_ENV, DD_VERSION, DD_TAGS", check_tags, ",".join(tags))


def _intake(environ: Mapping[str, str], decided_by: str) -> Endpoint:
    key = value_of(environ, _API_KEY)
    if not key:
        state = "empty" if _API_KEY in environ else "not set"
        chosen = f" ({_AGENTLESS} is true)" if decided_by == _AGENTLESS else ""
        otherwise = ", or unset it to use an agent" if decided_by == _API_KEY else ""
        raise ConfigError(
            f"agentless{chosen}, but DD_API_KEY is {state}; set it to an API key{otherwise}"
        )
    checked(_API_KEY, check_api_key, key)
    site = value_of(environ, "DD_SITE") if "DD_SITE" in environ else DEFAULT_SITE
    return checked("DD_SITE", lambda site: debugger_intake_endpoint(site, key), site)


def _agent(environ: Mapping[str, str]) -> Endpoint:
    url = value_of(environ, "DD_TRACE_AGENT_URL")
    if url:
        return checked("DD_TRACE_AGENT_URL", Endpoint, url)
    host = value_of(environ, "DD_AGENT_HOST")
    port = value_of(environ, "DD_TRACE_AGENT_PORT")
    if host or port:
        checked("DD_TRACE_AGENT_PORT", _check_port, port or _DEFAULT_PORT)
        host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        checked("DD_AGENT_HOST", _check_host, host or "localhost")
        return Endpoint(f"http://{host or 'localhost'}:{port or _DEFAULT_PORT}")
    if _is_socket(AGENT_SOCKET):
        return Endpoint(f"unix://{AGENT_SOCKET}")
    return Endpoint(f"http://localhost:{_DEFAULT_PORT}")


def additional_endpoints(environ: Mapping[str, str], name: str) -> list[Endpoint]:
    """The endpoints of a variable that is JSON ``{url: [key, ...]}``; none if it isn't set."""
    text = value_of(environ, name)
    if not text:
        return []
    import json  # late: rarely needed, and an eighth of the package's import time

    expected = 'expected: JSON {"https://host": ["key", ...]} (not shown, since it has keys)'
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(f"{name} is not JSON; {expected}") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{name} is not a JSON object; {expected}")
    endpoints = []
    for url, keys in table.items():
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ConfigError(f"{name} has a URL without a list of keys; {expected}")
        try:
            check_url(url)
        except ConfigError:
            # Not shown: keys and URLs may be in each other's places.
            raise ConfigError(f"{name} has an invalid URL; {expected}") from None
        for key in keys:
            endpoints.append(checked(name, partial(Endpoint, url), key.strip()))
    return endpoints


def value_of(environ: Mapping[str, str], name: str) -> str:
    """A variable without white space around it; "" if it isn't set."""
    # A value out of a mounted secret ends in a newline.
    return environ.get(name, "").strip()


def checked(name: str, check: Callable[[str], Value], value: str) -> Value:
    """The result of `check(value)`; its `ConfigError` begins with the variable's name."""
    try:
        return check(value)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _boolean(value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise ConfigError(f"{value!r:.80} is not a boolean; expected: true, 1, false or 0")
    return _BOOLEANS[value.lower()]


def _check_port(port: str) -> None:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ConfigError(f"the port is {port!r:.80}; expected: a number from 1 to 65535")


def _check_host(host: str) -> None:
    check_url(f"http://{host}:1")
    if re.search(r"[/?#@]", host):
        raise ConfigError(f"the host is {host!r:.80}; expected: a host name or an IP address")


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
