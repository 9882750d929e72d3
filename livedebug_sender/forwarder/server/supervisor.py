"""The server in several processes: a supervisor accepts connections, its workers serve them.

The supervisor hands each connection to the worker with the fewest, so that the limit on
connections is exact and the load is even. A worker that dies is replaced; one that does not
respond gets no more connections, and is killed eventually; a worker whose supervisor dies
finishes its requests and ends.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...errors import ConfigError
from ..counters import (
    CLOSED_CONNECTIONS,
    ENDING,
    HEARTBEATS,
    VOID_WITH_WORKER,
    WORKERS_REPLACED,
    Column,
    Counters,
)
from ..settings import Settings
from .interface import Application
from .listening import Listeners, room_for_connections
from .server import LOOK_EVERY, Serving

logger = logging.getLogger("livedebug_sender")

_CONNECTIONS, _MAKE_ROOM, _STOP = b"connections", b"make room", b"stop"
_READY = b"ready"
#: Connections in one message.
_AT_ONCE = 64
#: Minimum seconds between two starts of a worker, in case it fails at once.
_RESTART_AFTER = 1.0
#: Checks of a worker (one in each `LOOK_EVERY`) without a heartbeat, after which it gets no more
#: connections, and after which it is killed. Checks instead of seconds: while all processes are
#: stopped, none are made.
SILENT_AFTER, KILLED_AFTER = 5, 30
#: Seconds after the end of the grace period when a worker is killed.
_KILL_AFTER = 2.0


@dataclass
class _Process:
    pid: int
    channel: socket.socket
    started_at: float
    #: Connections it was given.
    given: int = 0
    #: Its heartbeats so far; None before the first, while it starts.
    heartbeats: int | None = None
    #: Checks since the last heartbeat.
    silent_for: int = 0

    @property
    def is_silent(self) -> bool:
        return self.silent_for >= SILENT_AFTER


class Supervisor:
    """Serves at addresses, from `run` until `stop`, with worker processes.

    Args:
        make_app: creates the application of the worker with an index, in the worker's process.
        listen: as for `Server`.
        workers: number of processes.
        counters: one column for each of them.

    Raises:
        ConfigError: an address is invalid, or can't be listened on.
    """

    def __init__(
        self,
        make_app: Callable[[int, Column], Application],
        settings: Settings,
        listen: Sequence[str],
        workers: int,
        counters: Counters,
    ) -> None:
        self._make_app = make_app
        self._settings = settings
        self._counters = counters
        self._column = counters.column()
        self._connections = room_for_connections(settings)
        self._listeners = Listeners(listen)
        self._processes: list[_Process | None] = [None] * workers
        self._started_at = [-_RESTART_AFTER] * workers
        self._closed_before = [0] * workers
        self._heartbeats_before = [0] * workers
        self._looked_at = time.monotonic()
        # Connections that could not be handed to a worker yet.
        self._held: list[socket.socket] = []
        self._stopping = False
        self._failed = False
        self._wake_read, self._wake_write = socket.socketpair()

    @property
    def addresses(self) -> list[str]:
        """The addresses that it listens on, in the form of `listen`."""
        return self._listeners.addresses

    def run(self, serving: Callable[[], None]) -> bool:
        """Serve until `stop`, then finish.

        Args:
            serving: called once a worker can serve.

        Returns:
            True if everything that was queued was delivered.

        Raises:
            ConfigError: no worker can serve; the addresses are released.
        """
        gc.collect()
        gc.freeze()  # the garbage collector would write to memory that the workers share
        self._start_first()
        if not self._stopping:
            serving()
        while not self._stopping:
            self._replace_dead()
            self._look_for_silent()
            held, self._held = self._held, []
            for sock in held:
                self._hand_over(sock)
            wakers = [self._wake_read, *(one.channel for one in self._processes if one)]
            places = self._places()
            if places <= 0 and self._listeners.crowded:
                self._tell_all(_MAKE_ROOM)
            for sock in self._listeners.accept(LOOK_EVERY, places, wakers):
                self._hand_over(sock)
        self._listeners.close()
        return self._finish()

    def stop(self) -> None:
        """Let `run` finish; may be called from a signal handler."""
        if not self._stopping:
            self._stopping = True
            self._wake_write.send(b"!")

    def _start_first(self) -> None:
        """Start a worker, and wait until it can serve, or for `stop`."""
        told, tell = os.pipe()
        self._start(0, tell)
        os.close(tell)
        with open(told, "rb") as file:
            if told not in select.select([told, self._wake_read.fileno()], [], [])[0]:
                return
            message = file.read()
        process = self._processes[0]
        if message != _READY and process is not None:
            os.waitpid(process.pid, 0)
            self._forget(0, process)
            self._close()
            raise ConfigError(message.decode() or "a worker ended before it could serve")

    def _open(self, index: int) -> int:
        process = self._processes[index]
        closed = self._counters.of_column(CLOSED_CONNECTIONS, index)
        return process.given - (closed - self._closed_before[index]) if process else 0

    def _places(self) -> int:
        if self._held or not any(self._processes):
            return 0
        return self._connections - sum(map(self._open, range(len(self._processes))))

    def _hand_over(self, sock: socket.socket) -> None:
        """Hand a connection to the responding worker that has the fewest."""
        alive = [(one.is_silent, self._open(n), n) for n, one in enumerate(self._processes) if one]
        for _, _, index in sorted(alive):
            process = self._processes[index]
            assert process is not None
            try:
                socket.send_fds(process.channel, [_CONNECTIONS], [sock.fileno()])
            except OSError:  # it has ended, or its channel is full
                continue
            process.given += 1
            sock.close()
            return
        self._held.append(sock)

    def _tell_all(self, message: bytes) -> None:
        for process in self._processes:
            if process is not None:
                try:
                    process.channel.send(message)
                except OSError:  # it has ended, or its channel is full: it gets the next message
                    continue

    def _replace_dead(self) -> None:
        for index, process in enumerate(self._processes):
            if process is not None:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
                if not pid:
                    continue
                self._forget(index, process)
                if status == os.EX_CONFIG << 8:  # it logged why; a new worker would fail, too
                    self._failed = True
                    self.stop()
                    return
                logger.error("worker %d ended (%s); it is replaced", index, _how(status))
                self._column.add((WORKERS_REPLACED, 1))
            if time.monotonic() - self._started_at[index] >= _RESTART_AFTER:
                self._start(index)

    def _look_for_silent(self) -> None:
        """Detect workers that do not respond; kill those that have not for too long."""
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = time.monotonic()
        for index, process in enumerate(self._processes):
            if process is None:
                continue
            beats = self._counters.of_column(HEARTBEATS, index) - self._heartbeats_before[index]
            if beats != (process.heartbeats or 0):
                process.heartbeats = beats
                process.silent_for = 0
            elif process.heartbeats is not None:
                process.silent_for += 1
            if process.silent_for == SILENT_AFTER:
                logger.warning("worker %d does not respond; it gets no connections", index)
            elif process.silent_for == KILLED_AFTER:
                logger.error("worker %d has not responded for too long; it is killed", index)
                os.kill(process.pid, signal.SIGKILL)

    def _forget(self, index: int, process: _Process) -> None:
        process.channel.close()
        self._counters.reset(VOID_WITH_WORKER, index)
        self._processes[index] = None

    def _start(self, index: int, tell: int | None = None) -> None:
        """Start a worker.

        Args:
            tell: a pipe for `_READY`, or for the reason why it can't serve; None: log the reason.
        """
        self._started_at[index] = time.monotonic()
        self._closed_before[index] = self._counters.of_column(CLOSED_CONNECTIONS, index)
        self._heartbeats_before[index] = self._counters.of_column(HEARTBEATS, index)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            theirs.close()
            ours.setblocking(False)
            self._processes[index] = _Process(pid, ours, self._started_at[index])
            return
        code = 1
        try:
            # Otherwise it would not notice when the supervisor or other workers end.
            for one in (ours, *(other.channel for other in self._processes if other)):
                one.close()
            # Otherwise their clients would not notice when another worker closes them.
            for one in self._held:
                one.close()
            code = self._work(index, theirs, tell)
        except ConfigError as error:
            if tell is None:
                logger.error("%s", error)
            else:
                _tell(tell, str(error).encode())
            code = os.EX_CONFIG
        except BaseException as error:
            logger.error("worker %d failed: %s", index, type(error).__name__)
        finally:
            logging.shutdown()
            os._exit(code)

    def _work(self, index: int, channel: socket.socket, tell: int | None) -> int:
        """What a worker process runs; returns its exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):  # the supervisor stops it by a message
            signal.signal(number, signal.SIG_IGN)
        self._listeners.release()
        column = self._counters.column(index)
        app = self._make_app(index, column)
        app.start()
        serving = Serving(app, self._settings, column)
        if tell is not None:
            _tell(tell, _READY)
        message = _CONNECTIONS
        while message in (_CONNECTIONS, _MAKE_ROOM):
            message, descriptors, _, _ = socket.recv_fds(channel, 64, _AT_ONCE)
            for descriptor in descriptors:
                serving.worker.adopt(socket.socket(fileno=descriptor))
            if message == _CONNECTIONS and not descriptors:  # this process has no free descriptor
                column.add((CLOSED_CONNECTIONS, 1))
            if message == _MAKE_ROOM:
                serving.worker.make_room()
        return 0 if serving.finish(time.monotonic() + self._settings.grace) else 1

    def _finish(self) -> bool:
        self._column.add((ENDING, 1))
        for index, starting in enumerate(self._processes):
            ready = self._counters.of_column(HEARTBEATS, index) != self._heartbeats_before[index]
            if starting is not None and not (ready or starting.given):
                # It has no requests, and reads no message before its queue is open.
                os.kill(starting.pid, signal.SIGKILL)
                os.waitpid(starting.pid, 0)
                self._forget(index, starting)
        processes = [one for one in self._processes if one is not None]
        for process in processes:
            try:
                process.channel.send(_STOP)
            except OSError:
                process.channel.close()  # which stops it, too
        until = time.monotonic() + self._settings.grace + _KILL_AFTER
        statuses = [_wait(process.pid, until) for process in processes]
        for process in processes:
            process.channel.close()
        self._close()
        return not (self._failed or any(statuses))

    def _close(self) -> None:
        self._listeners.close()
        for sock in (*self._held, self._wake_read, self._wake_write):
            sock.close()


def _tell(pipe: int, message: bytes) -> None:
    try:
        os.write(pipe, message)
    except OSError:  # the supervisor was stopped in the meantime
        pass
    os.close(pipe)


def _wait(pid: int, until: float) -> int:
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"status {os.waitstatus_to_exitcode(status)}"
