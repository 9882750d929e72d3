"""Requests for a transport."""

from __future__ import annotations

from livedebug_sender import Endpoint, Track, derive_endpoint_path
from livedebug_sender.protocol.endpoint import path_of
from livedebug_sender.protocol.payload import Upload
from livedebug_sender.protocol.request import Request, build_request


def request_to(
    url: str,
    *payloads: bytes,
    track: Track = Track.LOGS,
    key: str | None = None,
    timeout: float = 3.0,
    tags: str = "",
) -> Request:
    """The request that brings payloads to the track's path at a URL."""
    endpoint = derive_endpoint_path(Endpoint(url, key, timeout), track)
    texts = payloads or (b"{}",)
    items = [Upload(texts[0], "text/plain")] if track is Track.SYMDB else texts
    return build_request(endpoint, path_of(endpoint, track), track, items, tags, {})
