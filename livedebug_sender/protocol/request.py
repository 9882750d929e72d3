"""A request as it is sent on the wire, independent of a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ..version import __version__
from .body import MULTIPART_TYPE, Body, merge
from .endpoint import Endpoint
from .payload import Item, Upload
from .tags import quote_tags
from .tracks import ROUTES, Track

USER_AGENT = f"livedebug-sender/{__version__}"

Headers = dict[str, "str | bytes"]


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        endpoint: its URL with the path of the track, without the query.
        path: the path with the query.
        method: ``POST`` for all deliveries.
    """

    endpoint: Endpoint
    path: str
    # Not in the repr: the headers contain the key, and the body values of the host.
    headers: Headers = field(repr=False)
    body: bytes | Body = field(repr=False)
    method: str = "POST"


def build_request(
    endpoint: Endpoint,
    path: str,
    track: Track,
    items: Sequence[Item],
    tags: str,
    identity: Mapping[str, str],
) -> Request:
    """The request that sends payloads of one track to an endpoint.

    For symdb a single `Upload`, whose body is sent unchanged; otherwise JSON texts.
    """
    route = ROUTES[track]
    headers: Headers = {"User-Agent": USER_AGENT}
    if isinstance(items[0], Upload):
        body: bytes | Body = items[0].body
        headers["Content-Type"] = items[0].content_type
    else:
        body = merge(cast("Sequence[bytes]", items), multipart=route.multipart)
        headers["Content-Type"] = MULTIPART_TYPE if route.multipart else "application/json"
    headers["Content-Length"] = str(len(body))
    if endpoint.api_key is not None:
        headers["DD-API-KEY"] = endpoint.api_key
        headers["DD-EVP-ORIGIN"] = route.origin
    if endpoint.test_token is not None:
        headers["X-Datadog-Test-Session-Token"] = endpoint.test_token
    headers.update(identity)
    if tags and route.tags_in_header:
        headers["X-Datadog-Additional-Tags"] = tags.encode("utf-8")
    elif tags:
        path = f"{path}?ddtags={quote_tags(tags)}"
    return Request(endpoint, path, headers, body)
