"""The latest requests, bounded in payloads and in bytes."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import takewhile

from ..units import MiB, parse_count, parse_size
from .probes import ProbeBook
from .reading import Reading
from .records import REQUEST_COST, SUMMARY_COST, RecordedRequest
from .totals import Totals


class Store:
    """Stores the newest requests, and counts all.

    Args:
        max_payloads: maximum number; a request without any counts as one.
        max_bytes: maximum size, a number or ``"64MiB"``; a request larger than that is stored
            without its body.

    Raises:
        ConfigError: a limit is invalid.
    """

    def __init__(
        self,
        max_payloads: int = 10_000,
        max_bytes: int | str = 64 * MiB,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_payloads = parse_count("max_payloads", max_payloads)
        self._max_bytes = parse_size("max_bytes", max_bytes)
        self.clock = clock
        # Protects everything below; notifies waiting threads of each change.
        self.news = threading.Condition()
        self._requests: OrderedDict[int, RecordedRequest] = OrderedDict()
        self._payloads = 0
        self._counted = 0  # payloads; a request without any counts as one
        self._bytes = 0
        self._number = 0
        #: Incremented by each change, including requests to other paths and a clear.
        self.changes = 0
        #: Changes whenever earlier request numbers become invalid.
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
    ) -> RecordedRequest:
        """Store a parsed request, and the status of its response."""
        summaries = reading.summaries
        problem = reading.problem or remark
        size = len(body)
        if size + REQUEST_COST + len(summaries) * SUMMARY_COST > self._max_bytes:
            body, summaries, problem = b"", (), f"{size} bytes are too large to be stored"
        with self.news:
            self._number += 1
            request = RecordedRequest(
                number=self._number,
                at=self.clock(),
                path=path,
                query=query,
                headers=headers,
                body=body,
                size=size,
                status=status,
                mode=reading.mode,
                tags=reading.tags,
                summaries=summaries,
                problem=problem,
            )
            self._requests[request.number] = request
            self._payloads += len(request.summaries)
            self._counted += request.count
            self._bytes += request.cost
            self._drop_oldest()
            self.totals.count(request)
            if request.taken:  # a refused one is sent again
                self.probes.note(request)
            self._changed()
        return request

    def clear(self) -> None:
        """Remove everything; the numbering continues."""
        with self.news:
            self._requests.clear()
            self._payloads = self._counted = self._bytes = 0
            self.epoch = secrets.token_hex(4)
            self.totals = Totals()
            self.probes = ProbeBook()
            self._changed()

    def kept(self, after: int = 0) -> list[RecordedRequest]:
        """The stored requests with numbers above `after`, oldest first."""
        with self.news:
            newer = takewhile(lambda r: r.number > after, reversed(self._requests.values()))
            return list(newer)[::-1]

    def get(self, number: int) -> RecordedRequest | None:
        with self.news:
            return self._requests.get(number)

    def oldest(self) -> int:
        """The number of the oldest stored request; 0 without any."""
        with self.news:
            return next(iter(self._requests), 0)

    def count_other(self, path: str) -> None:
        """Count a request to a path that is not one of the intake's."""
        with self.news:
            self.totals.count_other(path)
            self._changed()

    def held(self) -> tuple[int, int]:
        """The numbers of stored payloads and bytes."""
        with self.news:
            return self._payloads, self._bytes

    def _changed(self) -> None:
        self.changes += 1
        self.news.notify_all()

    def _drop_oldest(self) -> None:
        while len(self._requests) > 1 and (
            self._counted > self._max_payloads or self._bytes > self._max_bytes
        ):
            _, oldest = self._requests.popitem(last=False)
            self._payloads -= len(oldest.summaries)
            self._counted -= oldest.count
            self._bytes -= oldest.cost
            self.totals.forgotten += 1
