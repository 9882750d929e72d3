"""The server in one process; the part that runs in each worker process of a supervisor, too."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from ..counters import CLOSED_CONNECTIONS, FIRST_METRIC, HEARTBEATS, Column, Counters
from ..limits import BodyBytesLimit
from ..options import PASS_THROUGH
from ..settings import Settings
from .interface import Application
from .listening import Listeners, room_for_connections
from .worker import Worker

logger = logging.getLogger("livedebug_sender")

LOOK_EVERY = 1.0
#: Seconds for idle threads to end.
_TO_LEAVE = 0.5
#: Seconds of the time to finish that are reserved for copies to additional endpoints.
_LAST_COPIES = 1.0


class Serving:
    """An application and the worker that serves it, in one process."""

    def __init__(self, app: Application, settings: Settings, column: Column) -> None:
        self._app = app
        self._settings = settings
        self._column = column
        body_bytes = BodyBytesLimit(column, settings.max_at_once_bytes)
        self.worker = Worker(
            app, settings, body_bytes, lambda: column.add((CLOSED_CONNECTIONS, 1)), self._tell
        )
        self.worker.start()
        column.add((HEARTBEATS, 1))

    def finish(self, until: float) -> bool:
        """Answer received requests, deliver queued ones; True if no accepted request is lost."""
        self._app.end_soon()
        self.worker.finish(until - self._to_deliver(max(0.0, until - time.monotonic())))
        delivered = self._app.close(max(0.0, until - time.monotonic()))
        unanswered = self.worker.unanswered
        self.worker.stop(max(_TO_LEAVE, until - time.monotonic()))
        if unanswered:
            logger.warning("stopping with %d requests unanswered", unanswered)
        # A request without its 202 was not accepted: its tracer still has it.
        return delivered and not (unanswered and self._settings.mode == PASS_THROUGH)

    def _tell(self) -> None:
        """Publish that this process is alive, and its metrics."""
        self._column.add((HEARTBEATS, 1))
        self._app.publish()

    def _to_deliver(self, seconds: float) -> float:
        """How many of the seconds to finish are for delivery, after all requests are answered."""
        if self._settings.mode == PASS_THROUGH:  # answering is delivering
            return min(_LAST_COPIES, seconds / 4)
        return seconds / 2


class Server:
    """Serves an application at addresses, from `run` until `stop`, in this process.

    Args:
        listen: each ``host:port`` (port 0: a free one) or ``unix:/path/to.sock``.
        column: its counters in the forwarder's table; None: counters of its own.

    Raises:
        ConfigError: an address is invalid, or can't be listened on.
    """

    def __init__(
        self,
        app: Application,
        settings: Settings,
        listen: Sequence[str],
        column: Column | None = None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._column = column or Counters(FIRST_METRIC).column()
        self._connections = room_for_connections(settings)
        self._listeners = Listeners(listen)
        self._stopping = False
        self._wake_read, self._wake_write = socket.socketpair()

    @property
    def addresses(self) -> list[str]:
        """The addresses that it listens on, in the form of `listen`."""
        return self._listeners.addresses

    def start(self) -> None:
        """Start the application before `run`, which does so otherwise.

        Raises:
            ConfigError: it can't start; the addresses are released.
        """
        failed: list[BaseException] = []

        def start() -> None:
            try:
                self._app.start()
            except BaseException as error:
                failed.append(error)

        try:
            # On a separate thread, so that a signal can end it: a wait for Kafka's brokers
            # can't be interrupted.
            thread = threading.Thread(target=start, name="forwarder-start", daemon=True)
            thread.start()
            # Not without a timeout: a signal that the kernel delivers to another thread does not
            # end the wait, and its handler runs on this thread alone.
            while thread.is_alive():
                thread.join(LOOK_EVERY)
            if failed:
                raise failed[0]
        except BaseException:
            self._close()
            raise

    def run(self, serving: Callable[[], None] | None = None) -> bool:
        """As `Supervisor.run`."""
        if serving is not None:
            serving()
        process = Serving(self._app, self._settings, self._column)
        begun = 0
        while not self._stopping:
            places = self._connections - begun + self._column.total(CLOSED_CONNECTIONS)
            if places <= 0 and self._listeners.crowded:
                process.worker.make_room()
            for sock in self._listeners.accept(LOOK_EVERY, places, [self._wake_read]):
                begun += 1
                process.worker.adopt(sock)
        self._listeners.close()
        try:
            return process.finish(time.monotonic() + self._settings.grace)
        finally:
            self._close()

    def stop(self) -> None:
        """Let `run` finish; may be called from any thread or signal handler."""
        if not self._stopping:
            self._stopping = True
            self._wake_write.send(b"!")

    def _close(self) -> None:
        self._listeners.close()
        self._wake_read.close()
        self._wake_write.close()


class Stoppable(Protocol):
    def stop(self) -> None: ...


class NotServingYet:
    """A server that is not created yet: nothing is queued, or the queue stays on its disk."""

    def stop(self) -> None:
        """End the process, with exit status 0."""
        raise SystemExit(0)


@contextmanager
def stopped_by_signals(server: Stoppable) -> Iterator[None]:
    """The first SIGTERM or SIGINT stops the server; the second kills the process."""

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        server.stop()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
