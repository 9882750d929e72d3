"""Logs outages: a line when an endpoint fails, and one when it recovers.

An outage of a host, or of one path of it, begins with the first failed request of any track. It
ends with a success, once each track that failed has since succeeded or given up its batch. So a
host that accepts one track and refuses another has one lasting outage, and does not recover and
fail again with every request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ..runtime.log_limiter import LogLimiter, logger
from ..runtime.signal_safe_lock import SignalSafeLock
from ..transport.deadline import BYTES_PER_TIMEOUT

if TYPE_CHECKING:
    from ..protocol.request import Request


class _Outage:
    def __init__(self, began: float, dropped: int) -> None:
        self.began = began
        self.dropped = dropped
        self.requests = 0
        #: The tracks that failed, and have neither succeeded nor given up since.
        self.tracks: set[str] = set()


class Outages:
    """The outages of the hosts of a sender. The name of a host may be any text.

    Args:
        dropped: returns how many payloads were dropped so far, for any reason.
        lost: the log's wording for one dropped payload, and for several.
    """

    def __init__(
        self,
        log: LogLimiter,
        dropped: Callable[[], int],
        clock: Callable[[], float],
        *,
        lost: tuple[str, str] = ("payload was dropped", "payloads were dropped"),
    ) -> None:
        self._log = log
        self._dropped = dropped
        self._clock = clock
        self._lost = lost
        #: The number of drops at the last success: drops during the first request of an outage
        #: belong to the outage.
        self._dropped_before = 0
        # Protects the mapping below and its values, since several workers share a host. Never
        # held during a call of `note`, which may start a thread.
        self._lock = SignalSafeLock()
        self._outages: dict[str, _Outage] = {}

    def failed(self, host: str, track: str, how: str, *, final: bool = False) -> None:
        """Note that a request failed.

        Args:
            how: completes the log's line, which starts with the host.
            final: whether the request will not be retried.
        """
        with self._lock:
            outage = self._outages.setdefault(host, _Outage(self._clock(), self._dropped_before))
            outage.requests += 1
            if final:
                outage.tracks.discard(track)
            else:
                outage.tracks.add(track)
        self._log.note(self._kind(host), f"{host} {how}")

    def watching(self, host: str, track: str, request: Request) -> AbstractContextManager[None]:
        """While a request is in flight, log a line if it takes long."""
        timeout = request.endpoint.timeout
        longest = timeout * (1 + len(request.body) // BYTES_PER_TIMEOUT)
        return self._log.watching(
            longest, lambda seconds: self.is_slow(host, track, seconds, timeout)
        )

    def is_slow(self, host: str, track: str, seconds: float, timeout: float) -> None:
        """Note that a request has been in flight for longer than usual."""
        with self._lock:
            began = self._clock() - seconds
            outage = self._outages.setdefault(host, _Outage(began, self._dropped_before))
            outage.tracks.add(track)
        words = f"{host} has given no answer for {seconds:.0f} s (its timeout is {timeout:g} s)"
        self._log.note(("slow", host), words)

    def gave_up(self, host: str, track: str) -> None:
        """Note that the track will not try this batch again."""
        with self._lock:
            if host in self._outages:
                self._outages[host].tracks.discard(track)

    def answered(self, host: str, track: str) -> None:
        """Note that a request of the track was successful."""
        if host not in self._outages:  # nearly always
            self._dropped_before = self._dropped()
            return
        with self._lock:
            outage = self._outages.get(host)
            if outage is None:
                return
            outage.tracks.discard(track)
            if outage.tracks:
                return
            del self._outages[host]
        self._log.settle(self._kind(host))
        self._log.settle(("slow", host))
        self._dropped_before = self._dropped()
        if logger.isEnabledFor(logging.INFO):
            seconds = self._clock() - outage.began
            dropped = self._dropped_before - outage.dropped
            self._log.note(
                ("over", host),
                f"{host} answers again, after {seconds:.1f} s: "
                f"{_counted(outage.requests, 'request', 'requests')} failed and "
                f"{_counted(dropped, *self._lost)}",
                level=logging.INFO,
            )

    def _kind(self, host: str) -> object:
        return ("trouble", host)


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
