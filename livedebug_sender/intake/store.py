"""The last requests, bounded in payloads and in bytes."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..units import MiB
from .probes import ProbeBook
from .reading import Glance, Payload, Reading, read
from .totals import Totals

#: What a request and the glance at a payload take, about, beside the body.
_REQUEST_COST = 4096
_GLANCE_COST = 1024


@dataclass(frozen=True)
class Kept:
    """A request as it came. The body is read again when its payloads are asked for:
    decoded, it would take many times its bytes.

    Attributes:
        at: when it came (seconds since 1970).
        headers: names in lower case; keys and the like are masked.
        status: what it was answered.
        problem: why its body can't be read, or what to know of it; mostly empty.
    """

    number: int
    at: float
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    size: int
    status: int
    mode: str
    tags: str
    tracks: tuple[str, ...]
    glances: tuple[Glance, ...]
    problem: str = ""

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """Its payloads, decoded."""
        return read(self.path, self.query, self.headers, self.body).payloads

    @property
    def taken(self) -> bool:
        """Was it answered with success?"""
        return 200 <= self.status < 300

    @property
    def cost(self) -> int:
        return len(self.body) + _REQUEST_COST + len(self.glances) * _GLANCE_COST


class Store:
    """Keeps the newest requests, and counts all.

    Args:
        max_payloads: kept at most; a request without any counts as one.
        max_bytes: kept at most; a request larger than that is kept without its body.
    """

    def __init__(
        self,
        max_payloads: int = 10_000,
        max_bytes: int = 64 * MiB,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_payloads < 1 or max_bytes < 1:
            raise ValueError("the store keeps one payload and one byte at least")
        self._max_payloads = max_payloads
        self._max_bytes = max_bytes
        self._clock = clock
        # Guards: everything below; tells those who wait of each arrival.
        self.news = threading.Condition()
        self._kept: deque[Kept] = deque()
        self._payloads = 0
        self._bytes = 0
        self._number = 0
        #: Another one whenever the numbers before mean nothing any more.
        self.epoch = secrets.token_hex(4)
        self.totals = Totals()
        self.probes = ProbeBook()

    def add(
        self,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        status: int,
        reading: Reading,
        remark: str = "",
    ) -> Kept:
        """Remember a request that was read, and its answer."""
        glances = tuple(payload.glance for payload in reading.payloads)
        problem = reading.problem or remark
        size = len(body)
        if size + _REQUEST_COST + len(glances) * _GLANCE_COST > self._max_bytes:
            body, glances, problem = b"", (), f"{size} bytes are too large to be kept"
        with self.news:
            self._number += 1
            kept = Kept(
                number=self._number,
                at=self._clock(),
                path=path,
                query=query,
                headers=headers,
                body=body,
                size=size,
                status=status,
                mode=reading.mode,
                tags=reading.tags,
                tracks=reading.tracks,
                glances=glances,
                problem=problem,
            )
            self._kept.append(kept)
            self._payloads += _count(kept)
            self._bytes += kept.cost
            self._drop_oldest()
            self.totals.count(kept)
            if kept.taken:  # what was refused comes again
                self.probes.note(kept)
            self.news.notify_all()
        return kept

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        with self.news:
            self._kept.clear()
            self._payloads = self._bytes = 0
            self.epoch = secrets.token_hex(4)
            self.totals = Totals()
            self.probes = ProbeBook()

    def kept(self, after: int = 0) -> list[Kept]:
        """What is kept with a number over `after`, oldest first."""
        with self.news:
            return [kept for kept in self._kept if kept.number > after]

    def get(self, number: int) -> Kept | None:
        with self.news:
            return next((kept for kept in self._kept if kept.number == number), None)

    def count_elsewhere(self) -> None:
        """A request came to a path that is none of the intake's."""
        with self.news:
            self.totals.elsewhere += 1

    def held(self) -> tuple[int, int]:
        """Payloads and bytes that are kept."""
        with self.news:
            return self._payloads, self._bytes

    def _drop_oldest(self) -> None:
        while len(self._kept) > 1 and (
            self._payloads > self._max_payloads or self._bytes > self._max_bytes
        ):
            oldest = self._kept.popleft()
            self._payloads -= _count(oldest)
            self._bytes -= oldest.cost
            self.totals.forgotten += 1


def _count(kept: Kept) -> int:
    return max(1, len(kept.glances))
