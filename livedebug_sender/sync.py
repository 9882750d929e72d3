"""One attempt, on the calling thread, for callers that want the outcome.

No queue, no retries: what comes of the attempt is returned or raised. Connections are
kept for the next call, a set for each thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import loading
from .config import SenderConfig
from .container import identity_headers
from .endpoint import Endpoint, derive_endpoint_path
from .errors import ConfigError, PayloadRejected, SenderError
from .payload import check_content_type, encode_body, encode_payload
from .request import Request, build_request
from .tags import check_tags, cut_tags
from .track import ROUTES, Track

if TYPE_CHECKING:
    from .transport import Transport


class _Connections(threading.local):
    """A thread's kept-alive connections; they belong to the process that opened them."""

    def __init__(self) -> None:
        self._transport: Transport | None = None
        self._pid = 0

    def transport(self) -> Transport:
        """This thread's transport: made on first use, and anew after a fork."""
        if self._transport is None or self._pid != os.getpid():
            # The parent's is not closed here: over TLS that would end the session on
            # a socket which the parent is still using.
            self._transport = loading.transport_class()()
            self._pid = os.getpid()
        return self._transport


_connections = _Connections()


def send(payload: Any, config: SenderConfig, track: Track | str, tags: str = "") -> None:
    """Send one payload of a debugger track: to the primary, then to the additional ones.

    Args:
        payload: JSON as ``bytes``, ``bytearray``, ``memoryview`` or ``str``, or a
            mapping or list.
        tags: as `generate_tags` makes them, not encoded.

    Raises:
        PayloadRejected: the primary's answer is no 2xx.
        DeliveryError: no answer came from the primary.
        InvalidPayload: the payload is no JSON object or array.
        ConfigError: for a track or tags that can't be meant, or no endpoint.

    Additional endpoints get their copy whatever the primary says; theirs is not heard.
    The call lasts until they are done, at most their longest timeout longer.
    """
    checked = _debugger_track(track)
    _send_to_all(config, checked, [encode_payload(payload)], None, tags)


def send_symdb(payload: Any, content_type: str, config: SenderConfig, tags: str = "") -> None:
    """Send one SymDB body, byte for byte; otherwise as `send`."""
    checked = check_content_type(content_type)
    _send_to_all(config, Track.SYMDB, [encode_body(payload)], checked, tags)


class PayloadSender:
    """Several payloads of a debugger track in one request to one endpoint.

    Args:
        endpoint: the track's path is applied to it, so it may have any. One that a
            downgraded `SenderConfig` gave is for such an agent, and is taken as it is.
        tags: as `generate_tags` makes them, not encoded.

    Raises:
        ConfigError: for an endpoint, a track (symdb is sent whole, by `send_symdb`) or
            tags that can't be meant.
    """

    def __init__(self, endpoint: Endpoint, track: Track | str, tags: str = "") -> None:
        if not isinstance(endpoint, Endpoint):
            raise ConfigError(
                f"the endpoint is a {type(endpoint).__name__}; an Endpoint is wanted"
            )
        self._track = _debugger_track(track)
        self._endpoint = _derived(endpoint, self._track)
        self._tags = cut_tags(check_tags(tags))
        self._payloads: list[bytes] = []
        self._finished = False

    def append(self, payload: Any) -> None:
        """Add a payload, as `send` takes it; `InvalidPayload` if it is none."""
        if self._finished:
            raise SenderError("append after finish: a PayloadSender makes one request")
        self._payloads.append(encode_payload(payload))

    def finish(self) -> int:
        """Send what was appended, in one attempt.

        Returns:
            The number of payloads sent; 0, and no request, if there were none.

        Raises:
            PayloadRejected: the answer is no 2xx.
            DeliveryError: no answer came.
        """
        if self._finished:
            raise SenderError("finish after finish: a PayloadSender makes one request")
        self._finished = True
        if self._payloads:
            _post(
                _request(self._endpoint, self._track, self._payloads, None, self._tags),
                self._track,
            )
        return len(self._payloads)


def _send_to_all(
    config: SenderConfig,
    track: Track,
    payloads: Sequence[bytes],
    content_type: str | None,
    tags: str,
) -> None:
    if not isinstance(config, SenderConfig):
        raise ConfigError(f"config is a {type(config).__name__}; a SenderConfig is wanted")
    sent_tags = cut_tags(check_tags(tags))
    endpoints = config.endpoints_for(track)
    if not endpoints:
        raise ConfigError(f"there is no endpoint for {track}; set one in the SenderConfig")
    requests = [_request(e, track, payloads, content_type, sent_tags) for e in endpoints]
    try:
        _post(requests[0], track)
    finally:
        _send_to_additional(requests[1:])


def _send_to_additional(requests: Sequence[Request]) -> None:
    """Send to all at once, so that it takes as long as the slowest, not as their sum."""
    if not requests:
        return
    executor = None
    left = list(requests)
    # No thread can be started (interpreter shutdown, a thread limit): go on without.
    with suppress(RuntimeError, ImportError):
        executor = loading.additional_executor(len(requests))
        while left:
            executor.submit(_post_and_forget, left[0])
            left.pop(0)
    if executor is not None:
        # A submit that found no thread has still queued its request: it is taken back
        # here, or done by the threads that did start; either way `left` tells.
        executor.shutdown(wait=True)
    for request in left:
        _post_and_forget(request)
