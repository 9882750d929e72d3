"""Looks up host names, bounded in time.

`getaddrinfo` has no timeout: with a name server that does not answer it takes 20 seconds
and more, and can't be aborted. So it runs on its own daemon thread, and the caller waits for
it at most until its deadline. Later callers with the same name wait for the same look-up.
"""

from __future__ import annotations

# Needed by the first look-up. If the look-up's thread imported it, a fork meanwhile could leave it
# half imported in the child.
import encodings.idna  # noqa: F401
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..runtime.host_signals import reraise_of_signal_handler
from ..runtime.threads import start_thread
from .deadline import RequestDeadline
from .failures import NoSuchHost

#: What `socket.getaddrinfo` gives.
Addresses = list[Any]
LookUp = Callable[[str, int], Addresses]

#: Concurrent look-ups in a process; with more, a new name is a timeout at once.
MAX_UNDER_WAY = 16
#: Names whose last addresses are remembered, to be used when no thread can be started.
MAX_REMEMBERED = 64


def system_look_up(host: str, port: int) -> Addresses:
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except RuntimeError:
        # gevent's does all on a thread, and at interpreter shutdown none can be started.
        monkey = sys.modules.get("gevent.monkey")
        if monkey is None:
            raise
        unpatched: LookUp = monkey.get_original("socket", "getaddrinfo")
        return unpatched(host, port)


class _UnderWay:
    """One look-up, and the threads that wait for it."""

    def __init__(self) -> None:
        self.addresses: Addresses | None = None
        self.error: Exception | None = None
        self.done = False
        self.waiting: list[threading.Event] = []

    def run(self, look_up: LookUp, host: str, port: int) -> None:
        try:
            self.addresses = look_up(host, port)
        except Exception as error:
            self.error = error
        finally:
            self.done = True
            for waiter in list(self.waiting):
                waiter.set()

    def result(self) -> Addresses:
        if self.error is not None:
            reraise_of_signal_handler(self.error)
        if isinstance(self.error, (socket.gaierror, UnicodeError)):
            raise NoSuchHost from None
        if self.error is not None:
            raise self.error
        return self.addresses or []


class Resolver:
    """Looks up names; may be used by any number of threads, and in forks.

    Args:
        look_up: as `system_look_up`, which it is by default.
        start: starts a daemon thread; False if it can't.
    """

    def __init__(
        self,
        look_up: LookUp = system_look_up,
        start: Callable[[Callable[[], None], str], bool] = start_thread,
    ) -> None:
        self._look_up = look_up
        self._start = start
        # No lock: a fork could copy it while it is taken. Each step is one operation of a dict.
        # The key includes the process, since the threads of a parent do not exist in its fork.
        self._under_way: dict[tuple[int, str, int], _UnderWay] = {}
        self._remembered: dict[tuple[str, int], Addresses] = {}

    def resolve(self, host: str, port: int, deadline: RequestDeadline, until: float) -> Addresses:
        """The addresses of a host.

        Raises:
            NoSuchHost: the host has no address.
            TimeoutError: there was no answer in time.
            ConnectionAbortedError: the request was aborted meanwhile.
        """
        if _is_numeric(host):
            return self._look_up_here(host, port)
        key = (os.getpid(), host, port)
        found = self._under_way.get(key)
        if found is None:
            deadline.remaining(until)
            if self._count_under_way() >= MAX_UNDER_WAY:
                raise TimeoutError("too many look-ups of names at once")
            found = _UnderWay()
            first = self._under_way.setdefault(key, found)
            if first is not found:
                found = first
            elif not self._start_look_up(found, key):
                return self._without_thread(host, port)
        self._wait(found, deadline, until)
        return found.result()

    def _start_look_up(self, found: _UnderWay, key: tuple[int, str, int]) -> bool:
        _, host, port = key

        def run() -> None:
            try:
                found.run(self._look_up, host, port)
                if found.addresses:
                    self._remember(host, port, found.addresses)
            finally:
                self._under_way.pop(key, None)

        started = False
        try:
            started = self._start(run, "livedebug-dns")
        finally:
            if not started:
                self._under_way.pop(key, None)
        return started

    def _remember(self, host: str, port: int, addresses: Addresses) -> None:
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[host, port] = addresses

    def _without_thread(self, host: str, port: int) -> Addresses:
        """At interpreter shutdown, for example: the last known addresses, else a look-up here."""
        remembered = self._remembered.get((host, port))
        return remembered if remembered else self._look_up_here(host, port)

    def _look_up_here(self, host: str, port: int) -> Addresses:
        found = _UnderWay()
        found.run(self._look_up, host, port)
        return found.result()

    def _wait(self, found: _UnderWay, deadline: RequestDeadline, until: float) -> None:
        news = threading.Event()
        found.waiting.append(news)
        try:
            deadline.interrupted_by(news.set)
            if not found.done:
                news.wait(deadline.remaining(until))
            deadline.interrupted_by(None)
        finally:
            found.waiting.remove(news)
        if not found.done:
            raise TimeoutError("timed out")

    def _count_under_way(self) -> int:
        process = os.getpid()
        return sum(key[0] == process for key in list(self._under_way))


def _is_numeric(host: str) -> bool:
    """Whether it is an IP address, which needs no look-up."""
    if ":" in host:
        return True
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError as error:
        reraise_of_signal_handler(error)
        return False
    return True


#: Shared by the whole process.
RESOLVER = Resolver()
