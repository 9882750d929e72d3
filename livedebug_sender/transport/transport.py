"""The seam to the network: a `Request` in, an `Answer` or `NoAnswer` out.

On `requests`, with what a sender must not have left out: redirects, cookies, `.netrc`,
proxy look-ups at every call.
"""

from __future__ import annotations

import base64
import io
import json
import os
import ssl
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import DEFAULT_POOLBLOCK, HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from ..errors import DeliveryError
from ..protocol.body import Body
from ..protocol.endpoint import Endpoint, socket_path, url_of
from ..protocol.request import USER_AGENT, Headers, Request
from .connections import pool_classes, unix_pool
from .deadline import Guard
from .http1 import Heard
from .request_hook import AroundRequest

#: Bytes of an answer that are read; more is not worth the connection.
MOST_ANSWER = 4096
_MASK = "***"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    status: int
    retry_after: str | None
    body: bytes


class NoAnswer(DeliveryError):
    """No whole answer came, for a reason in words."""


class TimedOut(NoAnswer):
    """No whole answer came in time."""


class SenderSession(requests.Session):
    """A session whose `send` goes straight to the adapter."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs.pop("allow_redirects", None)  # an adapter follows none
        return self.get_adapter(request.url or "").send(request, **kwargs)


class Transport:
    """Sends one request after the other; for one thread, but for `abort`.

    Args:
        session_factory: makes the session; None: one with bounds on the time of an
            answer, which the adapters of another session may lack.
        around_request: makes what is entered around each request; it raises nothing.
    """

    def __init__(
        self,
        session_factory: Callable[[], requests.Session] | None = None,
        around_request: AroundRequest | None = None,
    ) -> None:
        self._around_request: AroundRequest = around_request or nullcontext
        self._guard = Guard()
        if session_factory is None:
            self._session: requests.Session = SenderSession()
            self._session.mount("https://", GuardedAdapter(self._guard))
            self._session.mount("http://", GuardedAdapter(self._guard))
        else:
            self._session = session_factory()
        self._session.mount("unix://", UnixAdapter(self._guard))
        # Proxies and CA bundle by origin: the environment is read once.
        self._settings: dict[str, dict[str, Any]] = {}

    def post(self, request: Request, *, deadline: float | None = None) -> Answer:
        """Send, and wait for the answer.

        Args:
            deadline: when to be back at the latest (seconds of `time.monotonic`).

        Raises:
            NoAnswer: with the reason in words, and no secret in them.
        """
        if request.endpoint.scheme == "file":
            return _record(request)
        url = url_of(request.endpoint, request.path)
        read = partial(_read, most=MOST_ANSWER)
        return self._send(
            "POST", url, request.headers, request.body, request.endpoint, deadline, read
        )

    def exchange(
        self,
        request: Request,
        read: Callable[[requests.Response], Result],
        *,
        deadline: float | None = None,
    ) -> Result:
        """As `post` over the network, but for callers that want the answer as it came.

        Args:
            read: makes the result of an answer whose body is still to be read; it
                closes the answer.

        Raises:
            NoAnswer: `TimedOut`, if it is that.
        """
        url = url_of(request.endpoint, request.path)
        self._guard.whole_answers = True
        try:
            return self._send(
                "POST", url, request.headers, request.body, request.endpoint, deadline, read
            )
        finally:
            self._guard.whole_answers = False

    def agent_info(self, agent: Endpoint, deadline: float | None = None) -> dict[str, Any] | None:
        """What the agent says of itself at ``/info``; None if it doesn't."""
        if agent.scheme == "file":
            return None
        headers: Headers = {"User-Agent": USER_AGENT}
        try:
            url = url_of(agent, "/info")
            read = partial(_read, most=65536)
            answer = self._send("GET", url, headers, None, agent, deadline, read)
            info = json.loads(answer.body) if answer.status == 200 else None
        except (NoAnswer, ValueError, RecursionError):
            return None
        return info if isinstance(info, dict) else None

    def abort(self) -> None:
        """Cut the request under way, from another thread."""
        self._guard.cut()

    def close(self) -> None:
        self._session.close()

    def _send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes | Body | None,
        endpoint: Endpoint,
        deadline: float | None,
        read: Callable[[requests.Response], Result],
    ) -> Result:
        guard = self._guard
        guard.deadline = float("inf") if deadline is None else deadline
        host = urlsplit(url).netloc
        problem = ""
        while not problem:
            guard.reused = False
            try:
                timeout = guard.left(endpoint.timeout)
                prepared = _prepared(method, url, headers, body)
                if not isinstance(self._session, SenderSession):
                    # One that meets a 3xx copies the cookies for a next request.
                    prepared._cookies = RequestsCookieJar()  # type: ignore[attr-defined]
                with self._around_request():
                    response = self._session.send(
                        prepared,
                        stream=True,
                        allow_redirects=False,
                        timeout=timeout,
                        **self._settings_for(url),
                    )
                    return read(response)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                # The server had closed the connection while it was idle: not its word
                # about this request. Any other fault on it is left to the retries.
                if not guard.reused or guard.aborted or not _was_closed(error):
                    problem = _words(error)
            except ValueError as error:  # an answer or a URL that can't be parsed
                problem = type(error).__name__
        # Raised out here, so that it doesn't carry the request with its headers along.
        kind = TimedOut if problem == _TIMED_OUT else NoAnswer
        raise kind(f"{problem} ({host})")

    def _settings_for(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._settings:
            settings = self._session.merge_environment_settings(origin, {}, True, None, None)
            if settings["verify"] is True:
                settings["verify"] = self._session.verify
            self._settings[origin] = {key: settings[key] for key in ("proxies", "verify", "cert")}
        return self._settings[origin]


@dataclass(frozen=True)
class Way:
    """How requests to a URL travel: over which pool, and what they ask it for."""

    url: str
    pool: Any
    target: str


class GuardedAdapter(HTTPAdapter):
    """http and https over connections with bounds on time."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._way = Way("", None, "")
        super().__init__(pool_connections=4, pool_maxsize=1, max_retries=0)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = DEFAULT_POOLBLOCK, **options: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = pool_classes(self._guard)

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        # Requests to one place follow each other, so the last one's way is remembered.
        # A pool that was just used is not one that the manager lets go of.
        if request.url != self._way.url:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]
            self._way = Way(request.url, pool, super().request_url(request, proxies))
        return self._way.pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        pass  # done when the way was found

    def request_url(self, request: Any, proxies: Any) -> str:
        return self._way.target

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        return (
            _response(req, resp) if isinstance(resp, Heard) else super().build_response(req, resp)
        )

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = pool_classes(self._guard)
        return manager


class UnixAdapter(HTTPAdapter):
    """``unix://%2Fpath%2Fto.sock/path``."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._pools: dict[str, Any] = {}
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, request: Any, *args: Any, **options: Any) -> Any:
        path = socket_path(Endpoint(request.url))
        if path not in self._pools:
            self._pools[path] = unix_pool(path, self._guard)
        return self._pools[path]

    def request_url(self, request: Any, proxies: Any) -> str:
        return str(request.path_url)

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        return (
            _response(req, resp) if isinstance(resp, Heard) else super().build_response(req, resp)
        )

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        super().close()


def _response(request: requests.PreparedRequest, heard: Heard) -> requests.Response:
    response = requests.Response()
    response.request = request
    response.status_code = heard.status
    response.headers = CaseInsensitiveDict(heard.headers.items())
    response.raw = io.BytesIO(heard.body)
    return response


def _prepared(
    method: str, url: str, headers: Headers, body: bytes | Body | None
) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method = method
    prepared.url = url
    prepared.headers = CaseInsensitiveDict(headers)  # type: ignore[arg-type]
    prepared.body = body  # type: ignore[assignment]
    prepared.hooks = {"response": []}
    return prepared


def _read(response: requests.Response, most: int) -> Answer:
    """Read no more of the answer than is wanted; leave the connection for the next."""
    body = b""
    try:
        for chunk in response.iter_content(most + 1):
            body += chunk
            if len(body) > most:
                break
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
        pass  # with the status the server has said what it had to say
    finally:
        # An answer that wasn't read to its end takes its connection with it.
        response.close()
    return Answer(response.status_code, response.headers.get("Retry-After"), body[:most])


def _record(request: Request) -> Answer:
    """Append the request to the file of a ``file://`` endpoint, as one line of JSON."""
    body = b"".join(request.body) if isinstance(request.body, Body) else request.body
    headers = {
        name: value.decode("utf-8") if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    if "DD-API-KEY" in headers:
        headers["DD-API-KEY"] = _MASK
    record: dict[str, Any] = {"method": "POST", "path": request.path, "headers": headers}
    try:
        record["body"] = body.decode("utf-8")
    except UnicodeDecodeError:
        record["body_base64"] = base64.b64encode(body).decode("ascii")
    line = json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n"
    path = urlsplit(request.endpoint.url).path
    try:
        # One write to a file opened for appending: processes don't mix their lines.
        with open(path, "ab", buffering=0, opener=_open_at_once) as file:
            written = file.write(line)
    except OSError as error:
        raise NoAnswer(f"can't write to {path}: {error.strerror}") from None
    if written != len(line):
        raise NoAnswer(f"can't write all of a line to {path}; is its disk full?")
    return Answer(200, None, b"")


def _open_at_once(path: str, flags: int) -> int:
    """Without waiting for somebody to read, should it be a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


_TIMED_OUT = "timed out"
_TLS_FAILED = "TLS failed: its certificate can't be verified, or no TLS"
_WORDS = (
    (requests.exceptions.ProxyError, "the proxy can't be reached"),
    (requests.exceptions.SSLError, _TLS_FAILED),
    (requests.exceptions.Timeout, _TIMED_OUT),
    (TimeoutError, _TIMED_OUT),
)


def _words(error: BaseException) -> str:
    """A reason for people. The text of an exception may hold headers: it isn't used."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _TLS_FAILED
        if isinstance(cause, urllib3.exceptions.NameResolutionError):
            return "no such host"
        if isinstance(cause, TimeoutError):
            return _TIMED_OUT
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    return f"the connection failed: {type(causes[-1]).__name__}"


def _was_closed(error: BaseException) -> bool:
    """Did the server close the connection before it said anything?"""
    closed = (ConnectionResetError, BrokenPipeError)
    return any(isinstance(cause, closed) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and all that are wrapped in it."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo and len(found) < 20:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found
