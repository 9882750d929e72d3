"""Sends a payload again, to another endpoint."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..config import SenderConfig
from ..errors import ConfigError
from ..protocol.endpoint import Endpoint, check_url
from ..protocol.tracks import Track
from ..sync import send, send_symdb
from .records import RecordedRequest


def send_again(request: RecordedRequest, place: int, url: str) -> None:
    """Send one payload to the agent, or the local intake, at a URL. One attempt.

    Not to Datadog's intake, which would need a key; none is stored here.

    Raises:
        SenderError: it was not delivered; the message says why.
    """
    check_url(url)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"the URL is {url!r:.120}; expected that of an agent, http://HOST:PORT")
    payload = request.payload(place)
    if payload is None:
        raise ConfigError(f"request {request.number} has no payload {place}")
    track = payload.summary.track
    config = SenderConfig()
    if track is Track.SYMDB:
        config.set_symdb_endpoint(Endpoint(url))
        content_type = request.headers.get("content-type", "application/json")
        send_symdb(request.body, content_type, config, request.tags)
        return
    config.set_endpoint(Endpoint(url))
    send(payload.texts[0][1], config, track, request.tags)
