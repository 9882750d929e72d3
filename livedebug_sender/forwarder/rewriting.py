"""From the tracer's request to the intake's, and back: pure.

Nothing here decides where a request goes: that is the route's and the settings'.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..protocol.endpoint import Endpoint
from ..protocol.request import USER_AGENT, Headers, Request
from ..protocol.tags import cut_tags
from .replies import Lines, Refused
from .routes import Route

#: Of one connection, not of the message (RFC 9110, 7.6.1, and the Agent's proxy).
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
# What is ours to say, and `Expect`: the whole body is here already.
_MADE_ANEW = {"host", "content-length", "expect", "dd-api-key", "dd-request-id", "dd-evp-origin"}
_LEFT_BEHIND = _HOP_BY_HOP | _MADE_ANEW
#: The intakes take a key from the query, too; a tracer's own has no business there.
_KEYS_IN_QUERY = frozenset(("dd-api-key", "api_key", "api-key"))

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")

#: Fields in a query at most; tracers send one or two.
MAX_FIELDS = 100

Environ = Mapping[str, Any]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Head:
    """All of a request to the intake but its endpoint, its key and its body.

    Header values are, as in WSGI, text with a character for each byte.
    """

    query: str
    headers: Mapping[str, str]


def outgoing_head(environ: Environ, route: Route, host_tags: str, request_id: str) -> Head:
    """The head that goes to the intake.

    Raises:
        Refused: for what can't be put into a header.
    """
    headers = _end_to_end(environ)
    _add_forwarded_for(headers, environ)
    headers.setdefault("User-Agent", USER_AGENT)
    pairs = _query_pairs(environ)
    more = [headers.get("X-Datadog-Additional-Tags", "")]
    more += [value for name, value in pairs if name == "ddtags"][:1]
    tags = ",".join([_as_wsgi(host_tags), *filter(None, more)])
    if route.tags_in_header:
        headers["X-Datadog-Additional-Tags"] = _header_value("the tags", tags)
    else:
        pairs = [pair for pair in pairs if pair[0] != "ddtags"]
        pairs.append(("ddtags", cut_tags(tags)))
    headers["DD-REQUEST-ID"] = request_id
    headers["DD-EVP-ORIGIN"] = route.origin
    return Head(_encoded(pairs), headers)


def outgoing_request(head: Head, endpoint: Endpoint, body: bytes) -> Request:
    """The request for one endpoint, with its key, and no other's."""
    headers: Headers = dict(head.headers)
    headers["Content-Length"] = str(len(body))
    headers["DD-API-KEY"] = endpoint.api_key or ""
    path = urlsplit(endpoint.url).path or "/"
    return Request(endpoint, f"{path}?{head.query}" if head.query else path, headers, body)


def incoming_headers(lines: Iterable[tuple[str, str]]) -> Lines:
    """The intake's headers that go back to the tracer."""
    lines = list(lines)
    named = _named_by(value for name, value in lines if name.lower() == "connection")
    behind = _HOP_BY_HOP | {"content-length"} | named
    return [
        (name, value)
        for name, value in lines
        # Folded lines and other control characters are no news worth a broken answer.
        if name.lower() not in behind and _TOKEN.match(name) and not _CONTROL.search(value)
    ]


def _end_to_end(environ: Environ) -> dict[str, str]:
    """The tracer's headers, but for those of its connection and those that are ours."""
    behind = _LEFT_BEHIND | _named_by([environ.get("HTTP_CONNECTION", "")])
    headers = {}
    for key, value in environ.items():
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = key.replace("_", "-").title()
        elif key.startswith("HTTP_"):
            name = key[5:].replace("_", "-").title()
        else:
            continue
        if value and name.lower() not in behind and _TOKEN.match(name):
            headers[name] = _header_value(name, value)
    return headers


def _add_forwarded_for(headers: dict[str, str], environ: Environ) -> None:
    """As the Agent's proxy does, for who reads the intake's logs."""
    try:
        address = str(ipaddress.ip_address(environ.get("REMOTE_ADDR") or ""))
    except ValueError:  # a Unix socket's client has none
        return
    before = headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = f"{before}, {address}" if before else address


def _named_by(connection: Iterable[str]) -> set[str]:
    """The headers that a ``Connection`` header claims for the connection."""
    return {name.strip().lower() for value in connection for name in value.split(",")}


def _query_pairs(environ: Environ) -> Pairs:
    """The fields of the query; as in headers, a character is a byte."""
    query = environ.get("QUERY_STRING", "")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise Refused(400, f"the query has more than {MAX_FIELDS} fields") from None
    return [pair for pair in pairs if pair[0].lower() not in _KEYS_IN_QUERY]


def _encoded(pairs: Pairs) -> str:
    """Sorted by name, as the Agent does it."""
    return urlencode(sorted(pairs, key=lambda pair: pair[0]), encoding="latin-1")


def _as_wsgi(text: str) -> str:
    return text.encode("utf-8").decode("latin-1")


def _header_value(what: str, value: str) -> str:
    if _CONTROL.search(value):
        raise Refused(400, f"{what} can't be a header: CR, LF or other control characters in it")
    return value
