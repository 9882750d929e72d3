"""Encodes a sender's payloads for the queue, and builds requests from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..protocol.endpoint import Endpoint, path_of
from ..protocol.payload import Item, Upload, check_content_type, encode_body, encode_payload
from ..protocol.request import Request, build_request
from ..protocol.tracks import Track
from ..runtime.container import identity_headers


class PayloadRequests:
    """A `RequestFactory`.

    Args:
        tags: for every request.
    """

    def __init__(self, tags: str) -> None:
        self._tags = tags
        self._identity: Mapping[str, str] | None = None

    def item(self, track: Track, payload: object, content_type: object) -> Item:
        if track is Track.SYMDB:
            return Upload(encode_body(payload), check_content_type(content_type))
        return encode_payload(payload)

    def request(self, track: Track, items: Sequence[Item], endpoint: Endpoint) -> Request:
        if self._identity is None:  # read from files, so only when it is needed
            self._identity = identity_headers()
        path = path_of(endpoint, track)
        return build_request(endpoint, path, track, items, self._tags, self._identity)
