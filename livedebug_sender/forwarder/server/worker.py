"""The threads that serve connections: each takes the next ready connection from one epoll.

A connection that is idle occupies no thread. A thread handles a request from its beginning to its
end, so that no request is passed between threads, with one exception.

Requests for a durable queue are answered later, by the thread that stores them: waking a thread for
each of them, all at once, took a seventh more CPU. Since they do not block, a single thread
receives all of them: several, competing for the interpreter's lock, took another seventh.
"""

from __future__ import annotations

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from ...runtime.log_limiter import LogLimiter
from ..limits import BodyBytesLimit
from ..replies import Reply
from ..settings import Settings
from .connection import Connection, IncomingRequest, Patience, Wait
from .http1 import RequestError, RequestHead
from .interface import Application
from .memory import FreedMemory
from .thread_pool import ThreadPool
from .wsgi import answer, answer_of, variables

logger = logging.getLogger("livedebug_sender")

#: Threads in addition to `max_at_once`, for /health, /metrics and 503 responses.
SPARE_THREADS = 4
#: Requests answered later after which a thread ends, if another one is free: many, since starting a
#: thread takes as long as receiving a few requests.
_LEAVE_AFTER = 100
_IDLE_TIMEOUT = 120.0
#: The limits while other connections wait to be accepted.
IF_FULL = Patience(idle=1.0, head=1.0, rest=5.0)
#: Connections that are closed at a time, to make room for those.
_CUT_AT_ONCE = 16
LOOK_EVERY = 1.0
_ARMED = {
    Wait.INPUT: select.EPOLLIN | select.EPOLLONESHOT,
    Wait.OUTPUT: select.EPOLLOUT | select.EPOLLONESHOT,
}
#: Stands for a request that could not be parsed; it is answered in HTTP/1.1.
_UNREAD = RequestHead("GET", "", "", "HTTP/1.1", {}, 0, False, False)


class Worker:
    """Serves connections that are handed to it.

    Args:
        app: called on its threads, on up to `max_at_once` and a few more at a time.
        closed: called once for each connection that has ended, on any thread.
        every_second: called about that often, on a separate thread, as it may block.
    """

    def __init__(
        self,
        app: Application,
        settings: Settings,
        body_bytes: BodyBytesLimit,
        closed: Callable[[], None],
        every_second: Callable[[], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._body_bytes = body_bytes
        self._closed = closed
        self._every_second = every_second
        receive = settings.receive_timeout
        self._patience = Patience(_IDLE_TIMEOUT, receive, receive)
        self._log = LogLimiter()
        self._threads = ThreadPool(self._serve, settings.max_at_once + SPARE_THREADS)
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._ending = False
        self._stopped = threading.Event()
        # Closing one end keeps the other readable, so that every thread notices.
        self._end_read, self._end_write = socket.socketpair()

    def start(self) -> None:
        self._epoll.register(self._end_read.fileno(), select.EPOLLIN)
        self._threads.start()
        for work, name in (
            (self._look_after, "timeouts"),
            (self._run_every_second, "every-second"),
        ):
            threading.Thread(target=work, name=f"forwarder-{name}", daemon=True).start()

    def adopt(self, sock: socket.socket) -> None:
        """Take over a connection, and serve it."""
        try:
            connection = Connection(sock, self._settings.max_body_bytes, self._body_bytes)
        except OSError:  # it has already ended
            sock.close()
            self._closed()
            return
        self._connections[sock.fileno()] = connection
        self._epoll.register(sock.fileno(), _ARMED[Wait.INPUT])

    def make_room(self) -> None:
        """Close a few of the slowest clients' connections, since others wait for one.

        A connection in the middle of a request only if all have sent a head: a well-behaved client
        sends its head at once, and reconnects if it was idle.
        """
        now = time.monotonic()
        slow = [one for one in list(self._connections.values()) if one.overdue(now, IF_FULL)]
        slow = [one for one in slow if not one.in_request] or slow
        for connection in sorted(slow, key=lambda one: one.waiting_since)[:_CUT_AT_ONCE]:
            connection.abort()
            self._log.note("full", "all connections are in use; the slowest clients are cut off")
        self._log.report()

    @property
    def unanswered(self) -> int:
        """The number of requests, or parts of them, whose responses were not sent yet."""
        return sum(connection.unanswered for connection in list(self._connections.values()))

    def finish(self, until: float) -> None:
        """Answer the requests in progress, and close.

        Args:
            until: deadline (seconds of `time.monotonic`).
        """
        self._ending = True  # from now on each response is its connection's last
        while time.monotonic() < until:
            open_ones = list(self._connections.values())
            if not open_ones:
                break
            for connection in open_ones:
                if connection.idle:
                    connection.abort()
            time.sleep(0.02)

    def stop(self, timeout: float) -> None:
        """Let the threads end, and close the connections that are still open."""
        self._stopped.set()
        self._threads.stop()
        self._end_write.close()
        for connection in list(self._connections.values()):
            connection.abort()
        until = time.monotonic() + timeout
        if self._threads.join(until):
            for descriptor, connection in list(self._connections.items()):
                self._wait_for(Wait.NOTHING, descriptor, connection)
            self._epoll.close()
            self._end_read.close()

    def _serve(self) -> None:
        answered_later = 0
        while True:
            ready = self._epoll.poll(None, 1)
            if self._stopped.is_set():
                return
            for descriptor, _ in ready:
                connection = self._connections.get(descriptor)
                if connection is not None:
                    answered_later += self._step(descriptor, connection) is Wait.ANSWER
            if answered_later >= _LEAVE_AFTER:
                answered_later = 0
                if self._threads.try_leave():
                    return

    def _step(self, descriptor: int, connection: Connection) -> Wait:
        """Do what can be done on a connection without waiting for its client."""
        try:
            wait = self._turn(connection)
        except OSError:
            wait = Wait.NOTHING
        except Exception as error:  # a bug of ours; its text may contain data of the request
            logger.error("a connection failed: %s", type(error).__name__)
            wait = Wait.NOTHING
        if wait is not Wait.ANSWER:
            self._wait_for(wait, descriptor, connection)
        return wait

    def _wait_for(self, wait: Wait, descriptor: int, connection: Connection) -> None:
        if wait is Wait.NOTHING:
            # Before its descriptor can be reused.
            if self._connections.pop(descriptor, None) is not None:
                connection.close()
                self._closed()
        else:
            self._epoll.modify(descriptor, _ARMED[wait])

    def _turn(self, connection: Connection) -> Wait:
        if connection.lingering:
            return connection.discard()
        if connection.sending:
            wait = connection.send_on()
            if wait is not Wait.INPUT or not connection.has_input:
                return wait
        while True:
            try:
                request = connection.receive()
            except RequestError as error:
                return connection.send(_refusal(error), last=True)
            if request is None:
                return Wait.INPUT
            wait = self._answer(connection, request)
            if wait is not Wait.INPUT or not connection.has_input:
                return wait

    def _answer(self, connection: Connection, request: IncomingRequest) -> Wait:
        head = request.head
        last = self._ending or not head.keep_alive
        environ = variables(request, connection.peer)
        del request
        try:
            if self._app.answer_later(environ, partial(self._send_later_answer, connection, head)):
                return Wait.ANSWER
            out, last = self._call(environ, head, last)
        except Exception as error:  # as above
            logger.error("a request failed: %s", type(error).__name__)
            last = True
            out = _refusal(RequestError(500, "the forwarder failed; see its log"))
        return connection.send(out, last=last)

    def _call(self, environ: dict[str, Any], head: RequestHead, last: bool) -> tuple[bytes, bool]:
        """Have the application answer a request, for which it may block."""
        self._threads.block()
        try:
            return answer_of(self._app, environ, head, last=last)
        finally:
            self._threads.unblock()

    def _send_later_answer(self, connection: Connection, head: RequestHead, reply: Reply) -> None:
        """Send an answer that was to come later, from any thread."""
        last = self._ending or not head.keep_alive
        try:
            out = answer(reply.status_line, reply.lines, reply.body, head, last=last)
            wait = connection.send(out, last=last)
        except OSError:
            wait = Wait.NOTHING
        except Exception as error:  # as above
            logger.error("an answer failed: %s", type(error).__name__)
            wait = Wait.NOTHING
        if wait is Wait.INPUT and connection.has_input:
            wait = Wait.OUTPUT  # at once: a thread goes on with the next request
        try:
            self._wait_for(wait, connection.sock.fileno(), connection)
        except (OSError, ValueError):  # the epoll is closed, or there is no memory for it
            connection.abort()

    def _look_after(self) -> None:
        """Close idle connections, and those of clients that send or read too slowly."""
        freed = FreedMemory()
        while not self._stopped.wait(LOOK_EVERY):
            now = time.monotonic()
            freed.look(now)
            for connection in list(self._connections.values()):
                if connection.overdue(now, self._patience):
                    connection.abort()

    def _run_every_second(self) -> None:
        while not self._stopped.wait(LOOK_EVERY):
            try:
                self._every_second()
            except Exception as error:  # ours; the next one may succeed
                logger.error("a periodic task failed: %s", type(error).__name__)


def _refusal(error: RequestError) -> bytes:
    headers = [("Content-Type", "application/json")]
    if error.status == 503:
        headers.append(("Retry-After", "1"))
    body = json.dumps({"error": str(error)}).encode() + b"\n"
    status = f"{error.status} {HTTPStatus(error.status).phrase}"
    return answer(status, headers, body, _UNREAD, last=True)
