"""A request as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from .reading import Mode, Payload, payloads_of
from .summary import PayloadSummary

#: What a request and a summary take in memory, about, beside the body.
REQUEST_COST = 4096
SUMMARY_COST = 1024


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it came. The body is read again when its payloads are asked for:
    decoded, it would take many times its bytes.

    Attributes:
        at: when it came (seconds since 1970).
        headers: names in lower case; keys and the like are masked.
        size: bytes of the body as it came, gzip included.
        status: what it was answered; 0 if it got no answer.
        mode: of the sender, by the path.
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
        """Was it answered with success?"""
        return 200 <= self.status < 300

    @property
    def cost(self) -> int:
        return len(self.body) + REQUEST_COST + len(self.summaries) * SUMMARY_COST

    @property
    def count(self) -> int:
        """Payloads; a request without any counts as one."""
        return max(1, len(self.summaries))
