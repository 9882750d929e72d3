"""Our own HTTP client: sequential requests over keep-alive connections."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..protocol.request import Request
from ..runtime.host_signals import reraise_of_signal_handler
from .connections import Connection
from .deadline import RequestDeadline
from .dialling import connect
from .failures import is_cut, reason
from .http1 import IncompleteResponse, ProtocolError, RawResponse, ResponseReader, request_head
from .name_resolution import Resolver
from .response import NoResponse, TimedOut
from .routes import ResolvedRoute, Routes

#: Maximum number of connections kept open: one for each origin.
_MAX_KEPT = 4


class HTTPClient:
    """For one thread; `deadline.abort` may be called from others.

    Attributes:
        bytes_sent: bytes of the last request's body that were sent.
    """

    def __init__(self, deadline: RequestDeadline, resolver: Resolver, routes: Routes) -> None:
        self._deadline = deadline
        self._resolver = resolver
        self._routes = routes
        # By origin, the most recently used one last.
        self._kept: dict[str, Connection] = {}
        self.bytes_sent = 0

    def send(self, request: Request, max_body: int, *, whole: bool) -> RawResponse:
        """Send a request, and return its response.

        Args:
            max_body: bytes of the response's body that are kept.
            whole: raise if the response's body is truncated, too long or too slow.

        Raises:
            NoResponse: no response; `TimedOut` if none arrived in time.
        """
        self.bytes_sent = 0
        self._cut_after_body = False
        self._partial: RawResponse | None = None
        try:
            return self._send(request, max_body, whole)
        except (OSError, ProtocolError, ValueError) as error:
            reraise_of_signal_handler(error)
            problem = reason(error)
            kind = TimedOut if isinstance(error, TimeoutError) else NoResponse
        # Raised outside of `except`, so that it does not reference the request and its headers.
        raise kind(
            problem,
            host=urlsplit(request.endpoint.url).netloc,
            bytes_sent=self.bytes_sent,
            cut_after_body=self._cut_after_body,
            partial=self._partial,
        )

    def close(self) -> None:
        while self._kept:
            self._kept.popitem()[1].close()

    def __del__(self) -> None:
        # As in urllib3's pools: a garbage-collected client leaves no open sockets. Its
        # `__init__` may not have finished.
        if "_kept" in self.__dict__:
            self.close()

    def _send(self, request: Request, max_body: int, whole: bool) -> RawResponse:
        route = self._routes.to(request.endpoint)
        target = f"{route.target_prefix}{request.path or '/'}"
        headers = {**route.headers, **request.headers} if route.headers else request.headers
        head = request_head(request.method, target, route.host_header, headers)
        timeout = request.endpoint.timeout
        while True:
            reader = ResponseReader(max_body)
            connection = self._take(route)
            reused = connection is not None
            if connection is None:
                connection = connect(route, self._resolver, self._deadline, timeout)
            keep = False
            try:
                connection.exchange(head, request.body, reader, self._deadline, timeout)
                keep = reader.reusable and connection.sent_whole
            except (OSError, ProtocolError) as error:
                reraise_of_signal_handler(error)
                cut = is_cut(error) or isinstance(error, IncompleteResponse)
                # The server closed the connection while it was idle, which says nothing
                # about this request: send it again at once, on a new connection.
                if cut and reused and not reader.started and not self._deadline.aborted:
                    continue
                if reader.status is None or whole:
                    self._partial = reader.partial()
                    self._cut_after_body = cut and connection.sent_whole
                    self._cut_after_body &= not self._deadline.aborted
                    raise
            finally:
                self.bytes_sent = max(0, connection.sent - len(head))
                if keep:
                    self._keep(route, connection)
                else:
                    connection.close()
            if whole and reader.oversized:
                self._partial = reader.partial()
                raise ProtocolError(f"the answer has more than {max_body} bytes")
            return reader.response()

    def _take(self, route: ResolvedRoute) -> Connection | None:
        """The open connection for a route, unless the server has closed it."""
        connection = self._kept.pop(route.origin, None)
        if connection is not None and connection.is_stale():
            connection.close()
            return None
        return connection

    def _keep(self, route: ResolvedRoute, connection: Connection) -> None:
        self._kept[route.origin] = connection
        if len(self._kept) > _MAX_KEPT:
            self._kept.pop(next(iter(self._kept))).close()
