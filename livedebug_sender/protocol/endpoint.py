"""Where payloads go: a URL and, if that is the intake itself, its API key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import quote, unquote, urlsplit

from ..errors import ConfigError
from ..units import parse_seconds
from .tracks import ROUTES, Track

DEFAULT_SITE = "datadoghq.com"
#: Seconds to connect, and seconds for the response.
DEFAULT_TIMEOUT = 3.0
_MASK = "***"
_SCHEMES = ("http", "https", "unix", "file")
# Not compiled here, to keep the import fast: `re` compiles and caches them at the first use.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SITE = rf"{_LABEL}(?:\.{_LABEL})*"
_HEADER_TOKEN = r"[!-~]+"
_UNPRINTABLE = r"[\x00-\x20\x7f-\x9f\\]"


@dataclass(frozen=True, init=False)
class Endpoint:
    """A base URL, with an API key (the Datadog intake itself) or without one (an agent).

    Args:
        url: ``http://``, ``https://``, ``unix:///path/to.sock`` or ``file:///path``.
        api_key: its presence is what makes the endpoint agentless.
        timeout (float | str): for connecting, and again for the response: seconds, or with a
            unit (``"200ms"``); default: 3 s.
        test_token: the value of ``X-Datadog-Test-Session-Token``.

    Raises:
        ConfigError: for an invalid value. Keys are never shown.
    """

    url: str
    api_key: str | None = field(repr=False)
    #: In seconds, whatever unit it was given in.
    timeout: float
    test_token: str | None = field(repr=False)

    # Written by hand, since it accepts more (a time with a unit) than is stored.
    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: float | str = DEFAULT_TIMEOUT,
        test_token: str | None = None,
    ) -> None:
        check_url(url)
        if api_key is not None:
            check_api_key(api_key)
        if test_token is not None:
            _check_token("the test token", test_token)
        set_field = partial(object.__setattr__, self)  # the class is frozen
        set_field("url", url)
        set_field("api_key", api_key)
        set_field("timeout", parse_seconds("the timeout", timeout))
        set_field("test_token", test_token)

    @property
    def agentless(self) -> bool:
        """Whether this is the intake itself, which is to say that it has an API key."""
        return self.api_key is not None

    @property
    def scheme(self) -> str:
        """``http``, ``https``, ``unix`` or ``file``."""
        return urlsplit(self.url).scheme


def debugger_intake_endpoint(
    site: str, api_key: str, *, timeout: float | str = DEFAULT_TIMEOUT
) -> Endpoint:
    """The intake of a Datadog site, ``https://debugger-intake.{site}``.

    Args:
        site: a plain host name, such as ``"datadoghq.com"``.
        timeout: as of `Endpoint`.

    Raises:
        ConfigError: the site is not a plain host name, or the key is invalid.
    """
    check_site(site)
    if api_key is None:
        raise ConfigError("the API key is None; expected: a str, since the intake requires a key")
    return Endpoint(f"https://debugger-intake.{site}", api_key=api_key, timeout=timeout)


def derive_endpoint_path(endpoint: Endpoint, track: Track | str) -> Endpoint:
    """The endpoint with the path of the track, whatever path and query it had.

    ``file://`` endpoints are not changed. ``unix:///run/agent.sock`` becomes
    ``unix://%2Frun%2Fagent.sock/debugger/v2/input``, with the socket instead of a host.
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


def mask_secrets(endpoint: Endpoint, text: str) -> str:
    """Mask the key and the test token in an endpoint's response.

    Some servers and proxies show a request's headers on their error pages. The text may
    be truncated, so the beginning of a secret at its end is masked, too.
    """
    for secret in (endpoint.api_key, endpoint.test_token):
        if secret:
            text = re.sub(re.escape(secret), _MASK, text, flags=re.IGNORECASE)
            end = next(
                (n for n in range(len(secret) - 1, 3, -1) if text.endswith(secret[:n])), None
            )
            text = text[:-end] + _MASK if end else text
    return text


def check_url(url: object) -> None:
    expected = "expected: http://host:port, https://host, unix:///path/to.sock or file:///path"
    if not isinstance(url, str):
        raise ConfigError(f"the URL is a {type(url).__name__}; {expected}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - parses the port, and raises for a bad one
    except ValueError as error:
        raise ConfigError(f"the URL {_shown(url)!r} is invalid ({error}); {expected}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"the URL {_shown(url)!r} has user info; remove it; {expected}")
    if re.search(_UNPRINTABLE, url):
        raise ConfigError(
            f"the URL {_shown(url)!r} has white space, control characters or backslashes; "
            f"{expected}"
        )
    if parts.scheme not in _SCHEMES:
        raise ConfigError(f"the URL {_shown(url)!r} has an unknown scheme; {expected}")
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise ConfigError(f"the URL {_shown(url)!r} has no host; {expected}")
    if parts.scheme == "file" and (parts.netloc or len(parts.path) < 2):
        raise ConfigError(f"the URL {_shown(url)!r} has no absolute path; {expected}")
    if parts.scheme == "unix" and not unquote(parts.netloc or parts.path).strip("/"):
        raise ConfigError(f"the URL {_shown(url)!r} has no path to a socket; {expected}")
    if parts.scheme == "unix" and not unquote(parts.netloc or parts.path).startswith("/"):
        raise ConfigError(f"the URL {_shown(url)!r} has no absolute path; {expected}")


def check_site(site: object) -> None:
    if not isinstance(site, str) or len(site) > 200 or not re.fullmatch(_SITE, site):
        shown = f"{site!r:.80}" if isinstance(site, str) else f"a {type(site).__name__}"
        raise ConfigError(
            f"the site is {shown}; expected: a plain host name such as 'datadoghq.com', "
            "with no scheme, port or path"
        )


def check_api_key(api_key: object) -> None:
    """Raise `ConfigError` for an invalid API key, without showing it."""
    _check_token("the API key", api_key)


def _check_token(what: str, token: object) -> None:
    if not isinstance(token, str):
        raise ConfigError(f"{what} is a {type(token).__name__}; expected: a str")
    if not token:
        raise ConfigError(f"{what} is empty; expected: a value, or None for none")
    if not re.fullmatch(_HEADER_TOKEN, token):
        raise ConfigError(
            f"{what} has white space, control or non-ASCII characters (not shown, "
            f"{len(token)} characters); expected: visible ASCII characters only"
        )


def _shown(url: str) -> str:
    """A URL for a message, without anything that could be user info, hence a password."""
    before, at, host = url.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    return (f"{scheme if slashes else ''}{slashes}***{at}{host}" if at else url)[:200]
