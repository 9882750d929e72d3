"""Access to what arrived from programs: payloads, requests, waiting for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..protocol.tracks import Track
from ..units import parse_seconds
from .findings import PayloadFindings
from .matching import PayloadMatcher
from .reading import Payload
from .records import RecordedRequest
from .store import Store

#: Maximum lines about other payloads in a failure.
_MAX_TOLD = 20

Match = Mapping[str, Any] | Callable[[Any], object] | None


class Arrivals:
    """Queries to a store, for tests."""

    def __init__(self, store: Store, findings: PayloadFindings) -> None:
        self.store = store
        self._findings = findings

    @property
    def requests(self) -> list[RecordedRequest]:
        """The stored requests, in order of arrival, including refused ones."""
        return self.store.kept()

    def payloads(
        self, track: Track | str | None = None, *, match: Match = None, **fields: Any
    ) -> list[Any]:
        """The decoded payloads of the accepted requests, in order of arrival.

        Args:
            track: of the route that they were sent to.
            match: a mapping that each must contain, or a function of the payload.
            fields: of the summary: ``service``, ``probe``, ``message``, ``kind``, ...; each
                a value, or a compiled pattern.
        """
        wait = _Wait(PayloadMatcher(track, match, **fields))
        wait.look(self.requests)
        return wait.found

    def wait_for(
        self,
        n: int = 1,
        timeout: float | str = 10.0,
        track: Track | str | None = None,
        *,
        match: Match = None,
        **fields: Any,
    ) -> list[Any]:
        """Wait until `n` matching payloads were accepted; returns all that match.

        Args:
            timeout: seconds, or with a unit: ``"500ms"``.
            track, match, fields: as in `payloads`.

        Raises:
            AssertionError: they did not arrive; the message lists the other payloads, and why
                each did not match.
        """
        wait = _Wait(PayloadMatcher(track, match, **fields))
        seconds = parse_seconds("timeout", timeout, zero=True)
        end = time.monotonic() + seconds
        while True:
            with self.store.news:
                changes = self.store.changes
                fresh = self.store.kept(wait.upto)
            wait.look(fresh)  # outside the lock: it decodes, and calls `match`
            left = end - time.monotonic()
            if len(wait.found) >= n or left <= 0:
                break
            with self.store.news:
                self.store.news.wait_for(lambda: self.store.changes != changes, left)  # noqa: B023
        if len(wait.found) < n:
            raise AssertionError(wait.failure(n, seconds))
        return wait.found

    def findings(self) -> list[str]:
        """The findings of the stored payloads, each with the id of its payload."""
        return [
            f"{request.number}.{place} ({summary.track}): {finding}"
            for request in self.requests
            for place, summary in enumerate(request.summaries)
            for finding in self._findings.of(request, place)
        ]


class _Wait:
    """The payloads seen while waiting: those that match, and why the others do not."""

    def __init__(self, matcher: PayloadMatcher) -> None:
        self._matcher = matcher
        self.found: list[Any] = []
        self.upto = 0
        self._others: list[str] = []
        self._payloads = 0
        self._requests = 0

    def look(self, requests: list[RecordedRequest]) -> None:
        for request in requests:
            self.upto = request.number
            self._requests += 1
            if not request.taken or not request.summaries:
                said = request.problem or f"{request.count} payloads"
                self._others.append(f"request {request.number}: answered {request.status}, {said}")
                continue
            for place, payload in enumerate(request.payloads):
                self._payloads += 1
                mismatch = self._matcher.mismatch(payload)
                if mismatch:
                    self._others.append(f"{request.number}.{place} {_named(payload)}: {mismatch}")
                else:
                    self.found.append(payload.value)

    def failure(self, n: int, timeout: float) -> str:
        conditions = str(self._matcher)
        head = (
            f"waited {timeout:g} s for {n} payloads{f' with {conditions}' if conditions else ''}; "
            f"{len(self.found)} of {self._payloads} payloads in {self._requests} requests match"
        )
        told = self._others[-_MAX_TOLD:]
        left_out = len(self._others) - len(told)
        more = [f"({left_out} earlier ones are left out)"] if left_out else []
        return "\n  ".join([head, *more, *told])


def _named(payload: Payload) -> str:
    summary = payload.summary
    given = {"probe": summary.probe, "service": summary.service, "message": summary.message}
    parts = [f"{name}={value!r:.60}" for name, value in given.items() if value]
    return " ".join([str(summary.track), *parts])
