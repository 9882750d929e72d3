"""Rewrites the headers and tags of requests for the intake, and of its responses; no I/O.

The destination of a request is decided by its route and the settings, not here.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..protocol.credentials import is_credential_field
from ..protocol.endpoint import Endpoint
from ..protocol.request import Headers, Request
from ..protocol.tags import cut_tags
from .replies import HTTPError, Lines
from .routes import Route

#: Headers of one connection, not of the message (RFC 9110, 7.6.1, and the Agent's proxy).
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
# Headers that the forwarder sets itself; and `Expect`, since the body is already complete.
_MADE_ANEW = {"host", "content-length", "expect", "dd-api-key", "dd-request-id", "dd-evp-origin"}
_FORWARDED = {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
_LEFT_BEHIND = _HOP_BY_HOP | _MADE_ANEW | _FORWARDED
_NOT_RETURNED = _HOP_BY_HOP | {"content-length"}

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BAD_FIELD = re.compile(r";|%(?![0-9A-Fa-f]{2})")

# Maps a random digit to the variant digit of a UUID.
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}

#: Maximum characters of a cached value: a tracer's heads have at most thousands of bytes, and
#: those of a hostile client would fill the memory.
_MAX_REMEMBERED = 8192
_MAX_NAME = 256
#: Maximum fields in a query; tracers send one or two.
MAX_FIELDS = 100

Environ = Mapping[str, Any]
Pairs = list[tuple[str, str]]


@dataclass
class Head:
    """A request to the intake, without its endpoint, key and body.

    As in WSGI, header values are text with one character for each byte.
    """

    query: str
    headers: Mapping[str, str]


def new_request_id() -> str:
    """A random UUID (version 4), in less than half the time of `uuid.uuid4`."""
    digits = os.urandom(16).hex()
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def outgoing_head(environ: Environ, route: Route, host_tags: str, request_id: str) -> Head:
    """The head to send to the intake.

    Raises:
        HTTPError: a value can't be part of a header.
    """
    headers = _end_to_end(environ)
    _add_forwarded(headers, environ)
    more = headers.get("X-Datadog-Additional-Tags", "")
    given = environ.get("QUERY_STRING", "")
    few = len(given) + len(more) <= _MAX_REMEMBERED
    rewrite = _query_and_tags if few else _query_and_tags.__wrapped__
    query, tags = rewrite(given, host_tags, more, route.tags_in_header)
    if tags:
        headers["X-Datadog-Additional-Tags"] = tags
    headers["DD-REQUEST-ID"] = request_id
    headers["DD-EVP-ORIGIN"] = route.origin
    return Head(query, headers)


def outgoing_request(head: Head, endpoint: Endpoint, body: bytes) -> Request:
    """The request for one endpoint, with its own key only."""
    headers: Headers = dict(head.headers)
    headers["Content-Length"] = str(len(body))
    headers["DD-API-KEY"] = endpoint.api_key or ""
    path = _path_of(endpoint.url)
    return Request(endpoint, f"{path}?{head.query}" if head.query else path, headers, body)


def incoming_headers(lines: Iterable[tuple[str, str]]) -> Lines:
    """The intake's headers that are returned to the tracer."""
    returned = []
    named: set[str] = set()
    for name, value in lines:
        if len(name) <= _MAX_NAME and _is_returned(name):
            # Dropped, since folded lines and control characters would break the response.
            if not _CONTROL.search(value):
                returned.append((name, value))
        elif name.lower() == "connection":
            named |= _named_by(value)
    if named:
        returned = [line for line in returned if line[0].lower() not in named]
    return returned


@lru_cache(maxsize=1024)
def _is_returned(name: str) -> bool:
    return name.lower() not in _NOT_RETURNED and bool(_TOKEN.match(name))


def _end_to_end(environ: Environ) -> dict[str, str]:
    """The tracer's headers, except hop-by-hop ones and those that the forwarder sets."""
    headers = {}
    for variable, value in environ.items():
        name = _header_of(variable)
        if name and (value or name != "Content-Type"):
            headers[name] = value
    if _CONTROL.search("".join(headers.values())):
        raise HTTPError(400, "a header contains CR, LF or another control character")
    connection = environ.get("HTTP_CONNECTION")
    if connection:
        names = _named_by if len(connection) <= _MAX_NAME else _named_by.__wrapped__
        for named in names(connection):
            headers.pop(named.title(), None)
    return headers


@lru_cache(maxsize=1024)
def _header_of(variable: str) -> str:
    """The name of the header of a WSGI variable; "" for one that is not forwarded."""
    if variable.startswith("HTTP_"):
        name = variable[5:].replace("_", "-").title()
    else:
        name = "Content-Type" if variable == "CONTENT_TYPE" else ""
    return name if name.lower() not in _LEFT_BEHIND and _TOKEN.match(name) else ""


def _add_forwarded(headers: dict[str, str], environ: Environ) -> None:
    """Set ``X-Forwarded-*`` as the Agent's proxy does; a tracer's own values are dropped."""
    address = _address(environ.get("REMOTE_ADDR") or "")
    if address:
        headers["X-Forwarded-For"] = address
    # Without user info, which may contain a password.
    host = environ.get("HTTP_HOST", "").rpartition("@")[2]
    headers["X-Forwarded-Host"] = _header_value("Host", host)
    headers["X-Forwarded-Proto"] = environ.get("wsgi.url_scheme", "http")


@lru_cache(maxsize=256)
def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:  # clients of a Unix socket have no address
        return ""


@lru_cache(maxsize=256)
def _named_by(connection: str) -> frozenset[str]:
    """The headers that a ``Connection`` header declares hop-by-hop."""
    return frozenset(name.strip().lower() for name in connection.split(","))


@lru_cache(maxsize=256)
def _query_and_tags(query: str, host_tags: str, more: str, tags_in_header: bool) -> tuple[str, str]:
    """The query of the request, and the tags for its header, or "".

    Cached, since a tracer sends the same tags with each request.
    """
    pairs = _query_pairs(query) if query else []
    in_query = [value for name, value in pairs if name == "ddtags"][:1]
    tags = ",".join([_as_wsgi(host_tags), *filter(None, [more, *in_query])])
    if tags_in_header:
        return _encoded(pairs), _header_value("the tags", tags)
    pairs = [pair for pair in pairs if pair[0] != "ddtags"]
    return _encoded([*pairs, ("ddtags", cut_tags(tags))]), ""


@lru_cache(maxsize=64)
def _path_of(url: str) -> str:
    return urlsplit(url).path or "/"


def _query_pairs(query: str) -> Pairs:
    """The fields of a query; as in headers, one character for each byte.

    As in the Agent, fields that can't be parsed are left out; so are credentials, since queries
    are stored and logged.
    """
    if ";" in query or "%" in query:
        query = "&".join(part for part in query.split("&") if not _BAD_FIELD.search(part))
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise HTTPError(400, f"the query has more than {MAX_FIELDS} fields") from None
    return [pair for pair in pairs if not is_credential_field(pair[0])]


def _encoded(pairs: Pairs) -> str:
    """The query string, sorted by name as in the Agent."""
    return urlencode(sorted(pairs, key=lambda pair: pair[0]), encoding="latin-1")


def _as_wsgi(text: str) -> str:
    return text.encode("utf-8").decode("latin-1")


def _header_value(what: str, value: str) -> str:
    if _CONTROL.search(value):
        raise HTTPError(400, f"{what} can't be a header: CR, LF or another control character in it")
    return value
