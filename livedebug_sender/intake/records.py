"""A stored request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from .reading import Mode, Payload, payloads_of
from .summary import PayloadSummary

#: The approximate memory of a request and a summary, without the body.
REQUEST_COST = 4096
SUMMARY_COST = 1024


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it was received. Its body is parsed again when its payloads are requested:
    decoded, it would take many times its size.

    Attributes:
        at: time of arrival (seconds since 1970).
        headers: names in lower case; keys and other credentials are masked.
        size: bytes of the body as it was received, possibly compressed.
        status: of its response; 0 if it got none.
        mode: of the sender, by the path.
        problem: why its body can't be parsed, or another remark; mostly empty.
    """

    number: int
    at: float
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    size: int
    status: int
    mode: Mode
    tags: str
    summaries: tuple[PayloadSummary, ...]
    problem: str = ""

    @property
    def tracks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(summary.track) for summary in self.summaries))

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """Its payloads, decoded."""
        if not self.summaries:
            return ()
        return tuple(payloads_of(self.path, self.headers, self.body))

    def payload(self, place: int) -> Payload | None:
        """The payload at a place, from 0; None if there is none."""
        if not 0 <= place < len(self.summaries):
            return None
        found = payloads_of(self.path, self.headers, self.body)
        return next(islice(found, place, None), None)

    @property
    def taken(self) -> bool:
        """Whether it was answered with a 2xx status."""
        return 200 <= self.status < 300

    @property
    def cost(self) -> int:
        return len(self.body) + REQUEST_COST + len(self.summaries) * SUMMARY_COST

    @property
    def count(self) -> int:
        """The number of payloads; a request without any counts as one."""
        return max(1, len(self.summaries))
