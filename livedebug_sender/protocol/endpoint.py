"""Where payloads go: a URL and, if that is the intake itself, its API key."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from ..errors import ConfigError
from .tracks import ROUTES, Track

_SCHEMES = ("http", "https", "unix", "file")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SITE = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_HEADER_TOKEN = re.compile(r"[!-~]+\Z")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")


@dataclass(frozen=True)
class Endpoint:
    """A base URL, with an API key (the Datadog intake itself) or without (an agent).

    Args:
        url: ``http://``, ``https://``, ``unix:///path/to.sock`` or ``file:///path``.
        api_key: its presence is what makes the endpoint agentless.
        timeout: seconds to connect, and seconds for the answer.
        test_token: goes into ``X-Datadog-Test-Session-Token``.

    Raises:
        ConfigError: for a value that can't be used. Keys are never shown.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 3.0
    test_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_url(self.url)
        if self.api_key is not None:
            check_api_key(self.api_key)
        _check_timeout(self.timeout)
        if self.test_token is not None:
            _check_token("the test token", self.test_token)

    @property
    def agentless(self) -> bool:
        return self.api_key is not None

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme


def debugger_intake_endpoint(site: str, api_key: str, *, timeout: float = 3.0) -> Endpoint:
    """The intake of a Datadog site, ``https://debugger-intake.{site}``.

    Raises:
        ConfigError: for a site that is no plain host name, or a key that can't be one.
    """
    check_site(site)
    if api_key is None:
        raise ConfigError("the API key is missing: the intake wants one")
    return Endpoint(f"https://debugger-intake.{site}", api_key=api_key, timeout=timeout)


def derive_endpoint_path(endpoint: Endpoint, track: Track | str) -> Endpoint:
    """The endpoint with the path of the track, whatever path and query it had.

    ``file://`` endpoints are left as they are. ``unix:///run/agent.sock`` becomes
    ``unix://%2Frun%2Fagent.sock/debugger/v2/input``: the socket in the host's place.
    """
    route = ROUTES[Track(track)]
    return with_path(endpoint, route.intake_path if endpoint.agentless else route.agent_path)


def path_of(endpoint: Endpoint, track: Track) -> str:
    """The path of a derived endpoint; for ``file://``, which has none, the track's."""
    parts = urlsplit(endpoint.url)
    if parts.scheme != "file":
        return parts.path
    route = ROUTES[track]
    return route.intake_path if endpoint.agentless else route.agent_path


def with_path(endpoint: Endpoint, path: str) -> Endpoint:
    return endpoint if endpoint.scheme == "file" else replace(endpoint, url=url_of(endpoint, path))


def url_of(endpoint: Endpoint, path: str) -> str:
    """The URL of a path (with its query, if it has one) at an endpoint."""
    parts = urlsplit(endpoint.url)
    host = quote(socket_path(endpoint), safe="") if parts.scheme == "unix" else parts.netloc
    return f"{parts.scheme}://{host}{path}"


def socket_path(endpoint: Endpoint) -> str:
    """The path of a ``unix://`` endpoint's socket."""
    parts = urlsplit(endpoint.url)
    return unquote(parts.netloc or parts.path)


def check_url(url: object) -> None:
    wanted = "wanted: http://host:port, https://host, unix:///path/to.sock or file:///path"
    if not isinstance(url, str):
        raise ConfigError(f"the URL is a {type(url).__name__}; {wanted}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - parses the port, and raises for a bad one
    except ValueError as error:
        raise ConfigError(f"the URL {_shown(url)!r} can't be read ({error}); {wanted}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"the URL {_shown(url)!r} has user info; leave it out; {wanted}")
    if _UNPRINTABLE.search(url):
        raise ConfigError(f"the URL {_shown(url)!r} has white space or control characters")
    if parts.scheme not in _SCHEMES:
        raise ConfigError(f"the URL {_shown(url)!r} has another scheme; {wanted}")
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise ConfigError(f"the URL {_shown(url)!r} has no host; {wanted}")
    if parts.scheme == "file" and (parts.netloc or len(parts.path) < 2):
        raise ConfigError(f"the URL {_shown(url)!r} has no absolute path; {wanted}")
    if parts.scheme == "unix" and not unquote(parts.netloc or parts.path).strip("/"):
        raise ConfigError(f"the URL {_shown(url)!r} has no path to a socket; {wanted}")
    if parts.scheme == "unix" and not unquote(parts.netloc or parts.path).startswith("/"):
        raise ConfigError(f"the URL {_shown(url)!r} has no absolute path; {wanted}")


def check_site(site: object) -> None:
    if not isinstance(site, str) or len(site) > 200 or not _SITE.match(site):
        shown = f"{site!r:.80}" if isinstance(site, str) else f"a {type(site).__name__}"
        raise ConfigError(
            f"the site is {shown}; wanted: a plain host name such as 'datadoghq.com', "
            "with no scheme, port or path"
        )


def check_api_key(api_key: object) -> None:
    """`ConfigError` for what can't be an API key; never shows it."""
    _check_token("the API key", api_key)


def _check_token(what: str, token: object) -> None:
    if not isinstance(token, str):
        raise ConfigError(f"{what} is a {type(token).__name__}; a str is wanted")
    if not token:
        raise ConfigError(f"{what} is empty; leave it out (None) or give one")
    if not _HEADER_TOKEN.match(token):
        raise ConfigError(
            f"{what} has white space, control or non-ASCII characters (not shown, "
            f"{len(token)} characters); give it without them"
        )


def _check_timeout(timeout: object) -> None:
    if (
        isinstance(timeout, bool)
        or not isinstance(timeout, (int, float))
        or not math.isfinite(timeout)
        or timeout <= 0
    ):
        raise ConfigError(f"the timeout is {timeout!r:.80}; a positive number of seconds is wanted")


def _shown(url: str) -> str:
    """A URL for a message: whatever may be user info may be a password."""
    before, at, host = url.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    return (f"{scheme if slashes else ''}{slashes}***{at}{host}" if at else url)[:200]
