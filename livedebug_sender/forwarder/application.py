"""The WSGI application."""

from __future__ import annotations

import atexit
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..version import __version__
from .limits import AtOnce, body_size, read_body
from .metrics import CONTENT_TYPE, Metrics
from .pass_through import PassThrough
from .replies import Refused, Reply, in_json
from .rewriting import outgoing_head
from .routes import ROUTES, Route
from .settings import STORE_AND_FORWARD, Settings
from .store_and_forward import StoreAndForward

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger("livedebug_sender")


class Forwarder:
    """The Agent's debugger routes, forwarded to the intake.

    Also ``/info``, as tracers ask an agent, ``/health`` and ``/metrics``. Nothing is
    started, and nothing connected, before the first request.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._at_once = AtOnce(settings.max_at_once, settings.max_at_once_bytes)
        self._stored = StoreAndForward(settings) if settings.mode == STORE_AND_FORWARD else None
        self._way = self._stored or PassThrough(settings)
        self._ending = False
        self._pages: dict[str, Callable[[], Reply]] = {
            "/info": self._info,
            "/health": self._health,
            "/metrics": self._metrics_page,
        }
        # For servers that know nothing of `close`.
        atexit.register(self.close)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Forwarder:
        """A forwarder of the environment; see `Settings`."""
        return cls(Settings.from_env(environ, **options))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            reply = self._reply(environ)
        except Refused as refused:
            reply = refused.reply
        except Exception as error:  # ours; its text may hold what is in the request
            logger.error("the forwarder failed: %s", type(error).__name__)
            reply = in_json({"error": "the forwarder failed; its log says more"}, 500)
        start_response(reply.status_line, reply.lines)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

    def start(self) -> None:
        """Begin to deliver what waits from before; else the first request does that.

        To be called in each process, after a fork.

        Raises:
            ConfigError: the queue can't be had.
        """
        if self._stored is not None:
            self._stored.start()

    def end_soon(self) -> None:
        """Answer ``/health`` with 503 from now on."""
        self._ending = True

    def close(self, timeout: float | None = None) -> bool:
        """Deliver what is held, within `timeout` seconds (None: ``grace``).

        Returns:
            False if something had to be dropped for lack of time.
        """
        self._ending = True
        atexit.unregister(self.close)
        return self._way.close(self._settings.grace if timeout is None else timeout)

    def _reply(self, environ: WSGIEnvironment) -> Reply:
        path = environ.get("PATH_INFO", "")
        method = environ["REQUEST_METHOD"]
        if path in self._pages:
            _check_method(method, "GET", "HEAD")
            return self._pages[path]()
        route = ROUTES.get(path)
        if route is None:
            raise Refused(404, "no such route here; GET /info lists them")
        _check_method(method, "POST")
        return self._forward(route, environ)

    def _forward(self, route: Route, environ: WSGIEnvironment) -> Reply:
        begun = time.monotonic()
        most = self._settings.max_body_bytes
        read = 0
        try:
            size = body_size(environ, most)
            with self._at_once.place_for(most if size is None else size):
                body = read_body(environ, size, most)
                read = len(body)
                request_id = str(uuid.uuid4())
                head = outgoing_head(environ, route, self._settings.host_tags, request_id)
                reply = self._way.forward(route, head, body)
        except Refused as refused:
            reply = refused.reply
        seconds = time.monotonic() - begun
        self._metrics.count(route.path, reply.status, reply.from_intake, read, seconds)
        return reply

    def _info(self) -> Reply:
        return in_json(
            {
                "version": __version__,
                "endpoints": list(ROUTES),
                "client_drop_p0s": False,
                "config": {"max_request_bytes": self._settings.max_body_bytes},
            }
        )

    def _health(self) -> Reply:
        if self._ending:
            return in_json({"status": "shutting down"}, 503)
        queue = self._stored.queue_stats() if self._stored else None
        if queue is not None and queue.nearly_full:
            return in_json({"status": "queue nearly full", "fullness": round(queue.fullness, 3)})
        return in_json({"status": "ok"})

    def _metrics_page(self) -> Reply:
        queue = self._stored.queue_stats() if self._stored else None
        text = self._metrics.text(self._at_once.read(), self._way.stats(), queue)
        return Reply(200, [("Content-Type", CONTENT_TYPE)], text.encode())


def _check_method(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Refused(405, f"{allowed[0]} only", ("Allow", ", ".join(allowed)))
