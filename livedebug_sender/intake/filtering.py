"""Which payloads, and which requests, are meant. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .reading import Payload
from .records import RecordedRequest
from .summary import PayloadSummary

#: Characters before and after what a search found: a list cuts the end of its lines.
_BEFORE, _AFTER = 12, 60


@dataclass(frozen=True)
class Filter:
    """Empty: everything. What is given must all fit.

    Attributes:
        status: of a probe.
        outcome: ``taken`` or ``refused``.
        text: anywhere in a payload, in the request's path, tags or status; without
            regard to case, nor to how JSON escapes it.
        since, until: seconds since 1970, of the arrival; `until` is exclusive.
    """

    track: str = ""
    kind: str = ""
    probe: str = ""
    service: str = ""
    status: str = ""
    outcome: str = ""
    text: str = ""
    since: float = 0.0
    until: float = float("inf")

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filter:
        """Of a query's arguments; others are ignored.

        Raises:
            ValueError: a time is not a number.
        """
        names = ("track", "kind", "probe", "service", "status", "outcome", "text")
        texts = {name: given.get(name, "") for name in names}
        times = {
            name: _seconds(name, given[name]) for name in ("since", "until") if given.get(name)
        }
        return cls(**texts, **times)  # type: ignore[arg-type]

    def places(self, request: RecordedRequest) -> list[int]:
        """The places of the payloads that fit."""
        if not self._fits_request(request):
            return []
        fitting = [n for n, one in enumerate(request.summaries) if self._fits(one)]
        if not (self.text and fitting) or contains(_texts(request), self.text):
            return fitting
        payloads = request.payloads
        return [n for n in fitting if excerpt(payloads[n], self.text)]

    def wants(self, request: RecordedRequest) -> bool:
        """Does it hold a payload that fits? One that can't be read: does its text?"""
        if request.summaries:
            return bool(self.places(request))
        if self.track or self.kind or self.probe or self.service or self.status:
            return False
        body = request.body.decode("utf-8", "replace")
        texts = [*_texts(request), request.problem, body]
        return self._fits_request(request) and contains(texts, self.text)

    def _fits_request(self, request: RecordedRequest) -> bool:
        return self.since <= request.at < self.until and self.outcome in (
            "",
            "taken" if request.taken else "refused",
        )

    def _fits(self, summary: PayloadSummary) -> bool:
        return (
            self.track in ("", summary.track)
            and self.kind in ("", summary.kind)
            and self.probe in ("", summary.probe)
            and self.service in ("", summary.service)
            and self.status in ("", summary.status)
        )


def excerpt(payload: Payload, text: str) -> str:
    """The text in the payload with what stands around it; empty if it is not there."""
    wanted = text.casefold()
    for found in _readings(payload):
        folded = found.casefold()
        at = folded.find(wanted)
        if at < 0:
            continue
        if len(folded) != len(found):
            # A folded "ß" is longer: take what stands there in the folded text.
            found = folded
        start, end = max(0, at - _BEFORE), at + len(wanted) + _AFTER
        around = found[start:end]
        return ("…" if start else "") + around + ("…" if end < len(found) else "")
    return ""


def contains(texts: list[str], wanted: str) -> bool:
    return any(wanted.casefold() in text.casefold() for text in texts)


def _readings(payload: Payload) -> Iterator[str]:
    """The payload's text without escapes, so that "Zoë" is found in "Zo\\u00eb"; and as it
    came, for who copied from there."""
    if any("\\" in text for _, text in payload.texts):
        yield json.dumps(payload.value, ensure_ascii=False)
    for _, text in payload.texts:
        yield text


def _texts(request: RecordedRequest) -> list[str]:
    return [request.path, request.tags, str(request.status)]


def _seconds(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} is {text!r:.80}; expected seconds since 1970") from None
