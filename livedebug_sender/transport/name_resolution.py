"""Resolves host names, bounded in time.

`getaddrinfo` has no timeout: if a name server does not answer, it takes 20 seconds or more, and
can't be aborted. So it runs on a separate daemon thread, and the caller waits for it at most
until its deadline. Later callers with the same name wait for the same look-up.

If no thread can be started, as at interpreter shutdown, it runs on the caller's thread, but only
after glibc has resolved the name on a native thread. If glibc can't, the first look-up of a name
is unbounded; one that took too long is not repeated for a minute.
"""

from __future__ import annotations

# Needed by the first look-up. If the look-up's thread imported it, a fork during that could leave
# it partially imported in the child.
import encodings.idna  # noqa: F401
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..runtime.clock import monotonic
from ..runtime.host_signals import raised_by_signal_handler, reraise_of_signal_handler
from ..runtime.lazy_import import load
from ..runtime.threads import start_thread
from .deadline import RequestDeadline
from .failures import NoSuchHost

#: What `socket.getaddrinfo` returns.
Addresses = list[Any]
LookUp = Callable[[str, int], Addresses]

#: Concurrent look-ups in a process; with more, a new name is a timeout at once.
MAX_UNDER_WAY = 16
#: Names whose last addresses are remembered, to be used when no thread can be started.
MAX_REMEMBERED = 64
#: Seconds until a name is looked up again on the caller's thread, after that took too long.
_SLOW_FOR = 60.0
#: Seconds of waiting for glibc after which aborts and signal handlers are checked for.
_SLICE = 0.1


def system_look_up(host: str, port: int) -> Addresses:
    return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)


def _unpatched_look_up(host: str, port: int) -> Addresses:
    unpatched: Callable[..., Addresses] = sys.modules["gevent.monkey"].get_original(
        "socket", "getaddrinfo"
    )
    return unpatched(host, port, 0, socket.SOCK_STREAM)


class NativeLookUp(Protocol):
    """A look-up on a native thread; only its completion is used."""

    def wait(self, seconds: float) -> bool:
        """Wait for at most that long, or less; True if it is complete."""


def glibc_look_up(host: str) -> NativeLookUp:
    """See `GlibcLookUp`."""
    native: NativeLookUp = load(f"{__package__}.glibc_look_up", "GlibcLookUp")(host)
    return native


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
            # Its traceback refers to this frame, which would be a reference cycle.
            from_handler = raised_by_signal_handler(error)
            self.error = error if from_handler else error.with_traceback(None)
        finally:
            self.done = True
            for waiter in list(self.waiting):
                waiter.set()

    @property
    def lacks_thread(self) -> bool:
        """Whether gevent's look-up, which always uses a thread, could not start one."""
        return (
            isinstance(self.error, RuntimeError)
            and "gevent.monkey" in sys.modules
            and not raised_by_signal_handler(self.error)
        )

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
        start_native: used if it can't; as `glibc_look_up`, which it is by default.
    """

    def __init__(
        self,
        look_up: LookUp = system_look_up,
        start: Callable[[Callable[[], None], str], bool] = start_thread,
        start_native: Callable[[str], NativeLookUp] = glibc_look_up,
    ) -> None:
        self._look_up = look_up
        self._start = start
        self._start_native = start_native
        # No lock: a fork could copy it while it is held. Each step is a single dict operation.
        # The key includes the process, since the threads of a parent do not exist in its fork.
        self._under_way: dict[tuple[int, str, int], _UnderWay] = {}
        self._remembered: dict[tuple[str, int], Addresses] = {}
        # Those that were not complete in time, by process, thread and name.
        self._native: dict[tuple[int, int, str], NativeLookUp] = {}
        #: The earliest time of another look-up on the caller's thread, by name.
        self._not_before: dict[str, float] = {}

    def resolve(self, host: str, port: int, deadline: RequestDeadline, until: float) -> Addresses:
        """The addresses of a host.

        Raises:
            NoSuchHost: the host has no address.
            TimeoutError: the name was not resolved in time.
            ConnectionAbortedError: the request was aborted.
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
                return self._without_thread(host, port, deadline, until)
        self._wait(found, deadline, until)
        if found.lacks_thread:
            return self._without_thread(host, port, deadline, until)
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

    def _without_thread(
        self, host: str, port: int, deadline: RequestDeadline, until: float
    ) -> Addresses:
        """At interpreter shutdown, for example: the last known addresses, else a look-up here."""
        remembered = self._remembered.get((host, port))
        if remembered:
            return remembered
        if monotonic() < self._not_before.get(host, 0.0):
            raise TimeoutError("timed out")
        self._wait_for_native(host, deadline, until)
        try:
            addresses = self._look_up_here(host, port)
        finally:
            late = monotonic() > until
            if late:
                self._not_before[host] = monotonic() + _SLOW_FOR
        if late:
            self._remember(host, port, addresses)
        return addresses

    def _wait_for_native(self, host: str, deadline: RequestDeadline, until: float) -> None:
        """Wait until glibc has resolved the name or failed; return at once if it can't start."""
        key = (os.getpid(), threading.get_ident(), host)
        try:
            native = self._native.get(key) or self._start_native(host)
        except (ImportError, OSError, UnicodeError) as error:
            reraise_of_signal_handler(error)
            return
        self._native[key] = native
        while not native.wait(min(_SLICE, deadline.remaining(until))):
            pass
        self._native.pop(key, None)

    def _look_up_here(self, host: str, port: int) -> Addresses:
        found = _UnderWay()
        found.run(self._look_up, host, port)
        if found.lacks_thread:
            found = _UnderWay()
            found.run(_unpatched_look_up, host, port)
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
