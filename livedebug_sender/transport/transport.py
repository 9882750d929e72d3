"""Sending a `Request`: gives a `Response`, or raises `NoResponse`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..protocol.endpoint import Endpoint
from ..protocol.request import USER_AGENT, Request
from ..runtime.host_signals import reraise_of_signal_handler
from ..runtime.lazy_import import load
from .client import HTTPClient
from .deadline import RequestDeadline
from .file import write_record
from .http1 import RawResponse
from .name_resolution import RESOLVER, Resolver
from .request_hook import AroundRequest
from .response import MAX_ANSWER, MAX_READ, NoResponse, Response
from .routes import Routes

if TYPE_CHECKING:
    import requests


class Client(Protocol):
    """What makes requests: our own client, or a session of the caller's."""

    bytes_sent: int

    def send(self, request: Request, max_body: int, *, whole: bool) -> RawResponse: ...

    def close(self) -> None: ...


class Transport:
    """Sends one request after the other; for one thread, but for `abort`.

    Args:
        session_factory: makes a `requests.Session`; None: our own connections, with
            bounds on the time of an answer, which those of a session may lack.
        around_request: makes a context manager for each request; must not raise.
        resolver: looks host names up.
        routes: may be shared by several transports; None: its own.
    """

    def __init__(
        self,
        session_factory: Callable[[], requests.Session] | None = None,
        around_request: AroundRequest | None = None,
        *,
        resolver: Resolver = RESOLVER,
        routes: Routes | None = None,
    ) -> None:
        self._around_request = around_request
        self._deadline = RequestDeadline()
        own = HTTPClient(self._deadline, resolver, Routes() if routes is None else routes)
        self._client: Client = own
        if session_factory is not None:
            new_client: Callable[..., Client] = load(f"{__package__}.adapters", "SessionClient")
            self._client = new_client(session_factory(), self._deadline, own)

    def post(self, request: Request, *, deadline: float | None = None) -> Response:
        """Send, and wait for the answer: its status, and the beginning of its body.

        The status alone decides what follows: a body that is cut, too long or too slow is
        no fault.

        Args:
            deadline: when to return at the latest (seconds of `runtime.clock.monotonic`).

        Raises:
            NoResponse: `TimedOut`, if it is that.
        """
        if request.endpoint.scheme == "file":
            self._set_deadline(deadline)
            return write_record(request, self._deadline)
        raw = self._send(request, deadline, MAX_READ, whole=False)
        return Response(
            raw.status,
            raw.header("retry-after"),
            raw.body[:MAX_ANSWER],
            raw.header("date"),
            self._client.bytes_sent,
        )

    def exchange(
        self, request: Request, *, max_body: int, deadline: float | None = None
    ) -> RawResponse:
        """As `post`, over the network, for callers that need the whole answer as it came.

        Args:
            max_body: bytes of the answer's body at most.

        Raises:
            NoResponse: also for an answer that is cut or too long; `partial` has it then.
        """
        return self._send(request, deadline, max_body, whole=True)

    def agent_info(self, agent: Endpoint, deadline: float | None = None) -> dict[str, Any] | None:
        """An agent's ``/info``; None if that gives no JSON object."""
        if agent.scheme == "file":
            return None
        request = Request(agent, "/info", {"User-Agent": USER_AGENT}, b"", "GET")
        try:
            raw = self._send(request, deadline, MAX_READ, whole=False)
            info = json.loads(raw.body) if raw.status == 200 else None
        except (NoResponse, ValueError, RecursionError) as error:
            reraise_of_signal_handler(error)
            return None
        return info if isinstance(info, dict) else None

    def abort(self) -> None:
        """Abort the request under way, from another thread; no request is made after that."""
        self._deadline.abort()

    def close(self) -> None:
        self._client.close()

    def _send(
        self, request: Request, deadline: float | None, max_body: int, *, whole: bool
    ) -> RawResponse:
        self._set_deadline(deadline)
        if self._around_request is None:
            return self._client.send(request, max_body, whole=whole)
        with self._around_request():
            return self._client.send(request, max_body, whole=whole)

    def _set_deadline(self, at: float | None) -> None:
        self._deadline.at = float("inf") if at is None else at
