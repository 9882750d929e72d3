"""The WSGI application."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..transport.light_environment import environment_of
from ..transport.routes import Routes
from ..units import parse_seconds
from .counters import ENDING, Column, Counters
from .exchange import Exchange
from .info import agent_headers, info_page
from .limits import InFlightLimit, body_size, read_body
from .metrics import CONTENT_TYPE, SLOTS, Metrics, state_of
from .options import STORE_AND_FORWARD
from .pass_through import PassThrough
from .published import Published
from .queue.request_queue import NEARLY_FULL
from .replies import HTTPError, Reply, in_json
from .routes import ROUTES, Route, swallowed_kind
from .settings import Settings
from .store_and_forward import StoreAndForward

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger("livedebug_sender")

#: The Agent's response to traces, without rates.
_SWALLOWED = b'{"rate_by_service":{}}\n'


class Forwarder:
    """The Agent's debugger routes, forwarded to the intake.

    Also ``/info``, which tracers request from an agent, ``/health`` and ``/metrics``. No thread
    is started, and no connection opened, before the first request.

    Args:
        settings: of this worker, with its share of the limits of the queue.
        column, published: memory shared with other workers, and the index of this worker;
            None: there are no others.
        routes: to the intakes; None: from the environment.
    """

    def __init__(
        self,
        settings: Settings,
        column: Column | None = None,
        published: Published | None = None,
        worker: int = 0,
        routes: Routes | None = None,
    ) -> None:
        self._settings = settings
        self._column = column or Counters(SLOTS).column()
        self._published = published or Published()
        self._worker = worker
        self._metrics = Metrics(self._column)
        self._in_flight = InFlightLimit(
            self._column, settings.max_at_once, settings.max_at_once_bytes
        )
        if routes is None:
            routes = Routes(environment_of)
        stores = settings.mode == STORE_AND_FORWARD
        self._stored = StoreAndForward(settings, routes) if stores else None
        self._mode = self._stored or PassThrough(settings, routes)
        self._ending = False
        self._info_page = info_page(settings)
        self._agent_headers = agent_headers(self._info_page)
        self._pages: dict[str, Callable[[], Reply]] = {
            "/info": self._info,
            "/health": self._health,
            "/metrics": self._metrics_page,
        }
        # For servers that do not call `close`.
        atexit.register(self.close)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Forwarder:
        """A forwarder with settings from the environment; see `Settings`."""
        return cls(Settings.from_env(environ, **options))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            reply = self._reply(environ)
        except HTTPError as error:
            reply = error.reply
        except Exception as error:
            reply = _failed(error)
        start_response(reply.status_line, reply.lines)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else reply.pieces

    def answer_later(self, environ: WSGIEnvironment, answer: Callable[[Reply], None]) -> bool:
        """Begin to answer a request that a durable queue is to store, without blocking.

        Args:
            answer: called exactly once, on any thread, maybe before this returns. It must
                neither block nor raise.

        Returns:
            False: not begun; call the application instead.
        """
        route = ROUTES.get(environ["PATH_INFO"])
        stored = self._stored
        if route is None or stored is None or not stored.answers_later:
            return False
        if environ["REQUEST_METHOD"] != "POST":
            return False
        exchange = self._exchange(route, environ)

        def finish(reply: Reply) -> None:
            try:
                exchange.finish(reply)
                reply.headers += self._agent_headers
            finally:
                answer(reply)

        try:
            head, body = exchange.receive(self._settings.host_tags)
            stored.forward_async(route, head, body, finish)
        except HTTPError as error:
            finish(error.reply)
        except Exception as error:
            finish(_failed(error))
        return True

    def start(self) -> None:
        """Start to deliver requests from an earlier run; otherwise the first request does.

        Call it in each process, after the fork.

        Raises:
            ConfigError: the queue can't be opened.
        """
        if self._stored is not None:
            self._stored.start()

    def publish(self) -> None:
        """Publish the state of this worker's queue for the other workers."""
        queue = self._stored.queue_stats() if self._stored else None
        self._published.write(self._worker, state_of(self._mode.stats(), queue))

    def end_soon(self) -> None:
        """Answer ``/health`` with 503 from now on."""
        self._ending = True

    def close(self, timeout: float | str | None = None) -> bool:
        """Deliver what is queued.

        Args:
            timeout: seconds, or with a unit: ``"500ms"``; None means ``grace``.

        Returns:
            False if something had to be dropped for lack of time.
        """
        given = self._settings.grace if timeout is None else timeout
        seconds = parse_seconds("timeout", given, zero=True)
        self._ending = True
        atexit.unregister(self.close)
        return self._mode.close(seconds)

    def _reply(self, environ: WSGIEnvironment) -> Reply:
        path = environ.get("PATH_INFO", "")
        method = environ["REQUEST_METHOD"]
        route = ROUTES.get(path)
        if route is not None:
            _check_method(method, "POST")
            reply = self._forward(route, environ)
            reply.headers += self._agent_headers
            return reply
        if path in self._pages:
            _check_method(method, "GET", "HEAD")
            return self._pages[path]()
        kind = swallowed_kind(path) if self._settings.swallow_others else None
        if kind is None:
            raise HTTPError(404, "no such route; GET /info lists the routes")
        return self._swallow(kind, environ)

    def _forward(self, route: Route, environ: WSGIEnvironment) -> Reply:
        exchange = self._exchange(route, environ)
        try:
            head, body = exchange.receive(self._settings.host_tags)
            reply = self._mode.forward(route, head, body)
        except HTTPError as error:
            reply = error.reply
        except BaseException:
            exchange.release()
            raise
        exchange.finish(reply)
        return reply

    def _exchange(self, route: Route, environ: WSGIEnvironment) -> Exchange:
        max_bytes = self._settings.max_body_bytes
        return Exchange(route, environ, max_bytes, self._in_flight, self._metrics)

    def _swallow(self, kind: str, environ: WSGIEnvironment) -> Reply:
        """Read, count and discard traces and the like."""
        max_bytes = self._settings.max_body_bytes
        size = body_size(environ, max_bytes)
        with self._in_flight.place_for(max_bytes if size is None else size):
            read_body(environ, size, max_bytes)
        self._metrics.count_swallowed(kind)
        headers = [("Content-Type", "application/json"), *self._agent_headers]
        return Reply(200, headers, _SWALLOWED)

    def _info(self) -> Reply:
        return Reply(200, [("Content-Type", "application/json")], self._info_page)

    def _health(self) -> Reply:
        if self._ending or self._column.total(ENDING):
            return in_json({"status": "shutting down"}, 503)
        if self._stored is not None and self._stored.problem:
            return in_json({"status": "no queue", "reason": self._stored.problem}, 503)
        self.publish()
        fullness = max((of_one.fullness for of_one in self._published.read()), default=0.0)
        if fullness >= NEARLY_FULL:
            return in_json({"status": "queue nearly full", "fullness": round(fullness, 3)})
        return in_json({"status": "ok"})

    def _metrics_page(self) -> Reply:
        self.publish()
        page = self._metrics.page(self._in_flight.read(), self._published.read())
        return Reply(200, [("Content-Type", CONTENT_TYPE)], page)


def _failed(error: Exception) -> Reply:
    """The answer for a bug of ours, whose text may contain data of the request."""
    logger.error("the forwarder failed: %s", type(error).__name__)
    return in_json({"error": "the forwarder failed; see its log"}, 500)


def _check_method(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise HTTPError(405, f"{allowed[0]} only", ("Allow", ", ".join(allowed)))
