"""One attempt, on the calling thread, for callers that need the outcome.

No queue and no retries: the attempt's outcome is returned or raised. Each thread keeps
its connections for its next call.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .config import SenderConfig
from .errors import ConfigError, Kind, PayloadRejected, SenderError
from .protocol.endpoint import Endpoint, derive_endpoint_path, mask_secrets, path_of
from .protocol.payload import Item, Upload, check_content_type, encode_body, encode_payload
from .protocol.request import Request, build_request
from .protocol.tags import check_tags, cut_tags
from .protocol.tracks import DIAGNOSTICS_PATH, V2_TRACKS, Track
from .runtime import lazy_import
from .runtime.container import identity_headers
from .runtime.host_signals import reraise_of_signal_handler
from .runtime.log_limiter import logger

if TYPE_CHECKING:
    from .transport.transport import Transport


class _PerThread(threading.local):
    """A thread's kept-alive connections, which belong to the process that opened them."""

    def __init__(self) -> None:
        self._pid = 0
        self._transport: Transport | None = None
        self._identity: Mapping[str, str] = {}

    def transport(self) -> Transport:
        self._renew_after_fork()
        if self._transport is None:
            self._transport = _new_transport()
        return self._transport

    def identity(self) -> Mapping[str, str]:
        self._renew_after_fork()
        return self._identity

    def _renew_after_fork(self) -> None:
        if self._pid != os.getpid():
            # Bytes sent on a connection of the parent would be mixed with the parent's own.
            self._transport = None
            self._identity = identity_headers()
            self._pid = os.getpid()


def _new_transport() -> Transport:
    transport: type[Transport] = lazy_import.load(
        "livedebug_sender.transport.transport", "Transport"
    )
    return transport()


_here = _PerThread()
tags_cut_logged = False


def send(payload: Any, config: SenderConfig, track: Track | str, tags: str = "") -> None:
    """Send one payload of a debugger track to the primary, then to the additional endpoints.

    Args:
        payload: JSON as ``bytes``, ``bytearray``, ``memoryview`` or ``str``, or a
            mapping or list.
        tags: in the format of `generate_tags`, not encoded.

    Raises:
        PayloadRejected: the response of the primary endpoint is not a 2xx.
        DeliveryError: the primary endpoint sent no response.
        InvalidPayload: the payload is not a JSON object or array.
        ConfigError: the track or tags are invalid, or the track has no endpoint.

    Additional endpoints get a copy whatever the primary endpoint answers; their responses are
    discarded. The call returns when all are done, at the latest after the longest of their
    timeouts.
    """
    checked = _debugger_track(track)
    _send_to_all(config, checked, [encode_payload(payload)], tags)


def send_symdb(payload: Any, content_type: str, config: SenderConfig, tags: str = "") -> None:
    """Send one SymDB body, byte for byte; otherwise like `send`."""
    checked = check_content_type(content_type)
    _send_to_all(config, Track.SYMDB, [Upload(encode_body(payload), checked)], tags)


class PayloadSender:
    """Sends several payloads of a debugger track in one request to one endpoint.

    Args:
        endpoint: its path is replaced by that of the track, except the diagnostics path of an
            agent, which a downgraded `SenderConfig` returns.
        tags: in the format of `generate_tags`, not encoded.

    Raises:
        ConfigError: the endpoint, track or tags are invalid; symdb is not accepted, see
            `send_symdb`.
    """

    def __init__(self, endpoint: Endpoint, track: Track | str, tags: str = "") -> None:
        if not isinstance(endpoint, Endpoint):
            raise ConfigError(f"the endpoint is a {type(endpoint).__name__}; expected: an Endpoint")
        self._track = _debugger_track(track)
        self._endpoint = _derived(endpoint, self._track)
        self._tags = _fitting(tags)
        self._payloads: list[bytes] = []
        self._finished = False

    def append(self, payload: Any) -> None:
        """Add a payload, of the types that `send` accepts; raises `InvalidPayload`."""
        if self._finished:
            raise SenderError("append after finish: a PayloadSender makes one request")
        self._payloads.append(encode_payload(payload))

    def finish(self) -> int:
        """Send the appended payloads, in one attempt.

        Returns:
            The number of payloads sent; 0, and no request, if there were none.

        Raises:
            PayloadRejected: the response is not a 2xx.
            DeliveryError: no response was received.
        """
        if self._finished:
            raise SenderError("finish after finish: a PayloadSender makes one request")
        self._finished = True
        if self._payloads:
            _post(
                _request(self._endpoint, self._track, self._payloads, self._tags),
                self._track,
            )
        return len(self._payloads)


def _send_to_all(
    config: SenderConfig,
    track: Track,
    items: Sequence[Item],
    tags: str,
) -> None:
    if not isinstance(config, SenderConfig):
        raise ConfigError(f"config is a {type(config).__name__}; expected: a SenderConfig")
    sent_tags = _fitting(tags)
    endpoints = config.endpoints_for(track)
    if not endpoints:
        raise ConfigError(f"there is no endpoint for {track}; set one in the SenderConfig")
    requests = [_request(e, track, items, sent_tags) for e in endpoints]
    try:
        _post(requests[0], track)
    finally:
        _send_to_additional(requests[1:])


def _send_to_additional(requests: Sequence[Request]) -> None:
    """Send all concurrently, so that it takes only as long as the slowest."""
    if not requests:
        return
    waiting = deque(requests)

    def post_next() -> None:
        with suppress(IndexError):
            _post_and_forget(waiting.popleft())

    # If no thread can be started (interpreter shutdown, a thread limit), or the executor's
    # module can no longer be imported, the rest is sent from here.
    try:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(requests), "livedebug-additional") as executor:
            for _ in requests:
                executor.submit(post_next)
    except (RuntimeError, ImportError) as error:
        reraise_of_signal_handler(error)
    while waiting:
        post_next()


def _post_and_forget(request: Request) -> None:
    """Best effort, on a new connection, since the thread is temporary."""
    try:
        transport = _new_transport()
        try:
            transport.post(request)
        finally:
            transport.close()
    except Exception as error:
        reraise_of_signal_handler(error)  # on the host's thread, if no other could be started


def _post(request: Request, track: Track) -> None:
    answer = _here.transport().post(request)
    status = answer.status
    if not 200 <= status < 300:
        kind: Kind = "symdb" if track is Track.SYMDB else "debugger"
        body = mask_secrets(request.endpoint, answer.body.decode("utf-8", "replace"))
        del answer  # it may contain the key, and some tools show the variables of a traceback
        raise PayloadRejected(status, body, kind)


def _request(
    endpoint: Endpoint,
    track: Track,
    items: Sequence[Item],
    tags: str,
) -> Request:
    path = path_of(endpoint, track)
    return build_request(endpoint, path, track, items, tags, _here.identity())


def _derived(endpoint: Endpoint, track: Track) -> Endpoint:
    return endpoint if _is_downgraded(endpoint, track) else derive_endpoint_path(endpoint, track)


def _is_downgraded(endpoint: Endpoint, track: Track) -> bool:
    return (
        track in V2_TRACKS
        and not endpoint.agentless
        and endpoint.scheme != "file"
        and urlsplit(endpoint.url).path == DIAGNOSTICS_PATH
    )


def _fitting(tags: str) -> str:
    """The tags, truncated to the Agent's limit; logged once, not at every call."""
    global tags_cut_logged
    cut = cut_tags(check_tags(tags))
    if cut != tags and not tags_cut_logged:
        tags_cut_logged = True
        logger.warning("%d characters of tags cut to %d", len(tags), len(cut))
    return cut


def _debugger_track(track: Track | str) -> Track:
    tracks = [known for known in Track if known is not Track.SYMDB]
    if isinstance(track, str) and track in tracks:
        return Track(track)
    names = ", ".join(tracks)
    raise ConfigError(
        f"the track is {str(track)!r:.80}; expected: one of {names} (for symdb there is send_symdb)"
    )
