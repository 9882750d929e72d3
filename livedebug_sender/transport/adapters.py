"""Requests through the caller's own `requests.Session` (`session_factory`)."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from ..protocol.endpoint import Endpoint, url_of
from ..protocol.request import Request
from ..runtime.host_signals import reraise_of_signal_handler
from .client import HTTPClient
from .deadline import RequestDeadline
from .failures import TIMED_OUT, causes, is_cut, reason, tls_failed
from .http1 import ProtocolError, RawResponse
from .response import MAX_READ, NoResponse, TimedOut
from .session_connections import hear_early_answers


class SessionClient:
    """The caller's session, without redirects, cookies and `.netrc`; reads the environment once.
    The session itself has to limit the time of a response.

    Attributes:
        bytes_sent: as in `HTTPClient`, as far as a session reports it.
    """

    def __init__(
        self, session: requests.Session, deadline: RequestDeadline, own: HTTPClient
    ) -> None:
        self._session = session
        self._deadline = deadline
        self._own = own
        session.mount("unix://", UnixAdapter(own))
        # Proxies and CA bundle by origin: the environment is read once.
        self._settings: dict[str, dict[str, Any]] = {}
        self.bytes_sent = 0

    def send(self, request: Request, max_body: int, *, whole: bool) -> RawResponse:
        """As `HTTPClient.send`."""
        self.bytes_sent = 0
        cut = False
        try:
            until = self._deadline.until(request.endpoint.timeout)
            timeout = self._deadline.remaining(until)
            url = url_of(request.endpoint, request.path)
            prepared, settings = _prepared(request, url), self._settings_for(url)
            hear_early_answers(self._session, prepared, settings)
            response = self._session.send(
                prepared, stream=True, allow_redirects=False, timeout=timeout, **settings
            )
            self.bytes_sent = len(request.body)
            return _read(response, max_body, whole)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            _reraise_of_signal_handler(error)
            problem = _reason(error)
            self.bytes_sent = len(request.body) if _may_have_sent(error) else 0
            # A session doesn't say whether all of the request was written.
            cut = bool(self.bytes_sent) and _was_cut(error)
        except (ProtocolError, ValueError) as error:  # what can't be parsed
            reraise_of_signal_handler(error)
            problem = reason(error)
        # Raised outside of `except`, so that it does not reference the request and its headers.
        kind = TimedOut if problem == TIMED_OUT else NoResponse
        host = urlsplit(request.endpoint.url).netloc
        raise kind(problem, host=host, bytes_sent=self.bytes_sent, cut_after_body=cut)

    def close(self) -> None:
        self._session.close()
        self._own.close()

    def _settings_for(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._settings:
            settings = self._session.merge_environment_settings(origin, {}, True, None, None)
            if settings["verify"] is True:
                settings["verify"] = self._session.verify
            self._settings[origin] = {key: settings[key] for key in ("proxies", "verify", "cert")}
        return self._settings[origin]


class UnixAdapter(BaseAdapter):
    """``unix://%2Fpath%2Fto.sock/path``, by our own client."""

    def __init__(self, client: HTTPClient) -> None:
        super().__init__()
        self._client = client

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        sent = Request(
            Endpoint(request.url or "", timeout=options["timeout"]),
            request.path_url,
            dict(request.headers),
            request.body,  # type: ignore[arg-type]
            request.method or "POST",
        )
        raw = self._client.send(sent, MAX_READ, whole=False)
        response = requests.Response()
        response.request = request
        response.url = request.url or ""
        response.status_code = raw.status
        response.headers = CaseInsensitiveDict(raw.headers)
        response.raw = io.BytesIO(raw.body)
        return response

    def close(self) -> None:
        pass  # the client is closed with the transport


def _prepared(request: Request, url: str) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method = request.method
    prepared.url = url
    prepared.headers = CaseInsensitiveDict(request.headers)  # type: ignore[arg-type]
    prepared.body = request.body  # type: ignore[assignment]
    prepared.hooks = {"response": []}
    # On a 3xx, a session copies the cookies for the next request.
    prepared.prepare_cookies({})
    return prepared


def _read(response: requests.Response, max_body: int, whole: bool) -> RawResponse:
    body = bytearray()
    try:
        _read_body(response, max_body, body)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        _reraise_of_signal_handler(error)
        # Only the status decides what follows.
        if whole:
            raise
    finally:
        # If the response was not read to its end, this closes the connection.
        response.close()
    if whole and len(body) > max_body:
        raise ProtocolError(f"the answer has more than {max_body} bytes")
    return RawResponse(response.status_code, list(response.headers.items()), bytes(body[:max_body]))


# Loops in separate functions: see tests/runtime/test_jumps.py.


def _read_body(response: requests.Response, max_body: int, body: bytearray) -> None:
    """Append the response's body to `body`, until that exceeds `max_body`."""
    for chunk in _undecoded(response, max_body + 1):
        body += chunk
        if len(body) > max_body:
            break


def _was_cut(error: BaseException) -> bool:
    return any(is_cut(cause) for cause in causes(error))


def _reraise_of_signal_handler(error: BaseException) -> None:
    for cause in causes(error):  # urllib3 wraps exceptions that it mistakes for its own
        reraise_of_signal_handler(cause)


def _undecoded(response: requests.Response, size: int) -> Iterable[bytes]:
    """The body, not decompressed: before 2.6, urllib3 decompresses without a limit."""
    stream = getattr(response.raw, "stream", None)
    if stream is None:  # not urllib3's
        return response.iter_content(size)
    pieces: Iterable[bytes] = stream(size, decode_content=False)
    return pieces


_REASONS = (
    (requests.exceptions.ProxyError, "the proxy can't be reached"),
    (requests.exceptions.Timeout, TIMED_OUT),
)


def _reason(error: BaseException) -> str:
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError):
            return str(tls_failed(cause))
        if isinstance(cause, urllib3.exceptions.NameResolutionError):
            return "no such host"
        if isinstance(cause, TimeoutError) or (isinstance(cause, OSError) and cause.errno):
            return reason(cause)
    return f"the connection failed: {type(error).__name__}"


def _may_have_sent(error: BaseException) -> bool:
    """Whether there was a connection. A session does not report how much was sent on it."""
    none = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
        urllib3.exceptions.SSLError,
    )
    return not any(isinstance(cause, none) for cause in causes(error))
