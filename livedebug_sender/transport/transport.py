"""Sends a `Request`, and returns a `Response` or raises `NoResponse`."""

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
    """Sends requests: our own client, or the caller's session."""

    bytes_sent: int

    def send(self, request: Request, max_body: int, *, whole: bool) -> RawResponse: ...

    def close(self) -> None: ...


class Transport:
    """Sends requests one at a time; for use by one thread, except for `abort`.

    Args:
        session_factory: creates a `requests.Session`; None: our own connections, which limit
            the time of a response; those of a session may not.
        around_request: creates a context manager for each request; must not raise.
        resolver: resolves host names.
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
        """Send a request, and wait for the status and the beginning of the body of its response.

        Only the status decides what follows: a body that is truncated, too long or too slow is
        not an error.

        Args:
            deadline: the latest time to return (seconds of `runtime.clock.monotonic`).

        Raises:
            NoResponse: no response; `TimedOut` if none arrived in time.
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
        """As `post`, but only over the network, and with the complete, undecoded response.

        Args:
            max_body: the largest body of a response, in bytes.

        Raises:
            NoResponse: also if the response is truncated or too long; `partial` then has
                the part that was received.
        """
        return self._send(request, deadline, max_body, whole=True)

    def agent_info(self, agent: Endpoint, deadline: float | None = None) -> dict[str, Any] | None:
        """An agent's ``/info``; None if the response is not a JSON object."""
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
        """Abort the current request, from another thread; later ones fail at once."""
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
