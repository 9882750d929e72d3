"""Filters payloads and requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .reading import Payload
from .records import RecordedRequest
from .summary import PayloadSummary

#: Characters shown before and after a match, since a list truncates its lines.
_BEFORE, _AFTER = 12, 60


@dataclass(frozen=True)
class Filter:
    """All given conditions must match; an empty filter matches everything.

    Attributes:
        status: of a probe.
        outcome: ``taken`` or ``refused``.
        text: anywhere in a payload, in the request's path, tags or status; case-insensitive,
            and regardless of JSON escapes.
        since, until: time of arrival, in seconds since 1970; `until` is exclusive.
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
        """A filter from the arguments of a query; others are ignored.

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
        """The places of the matching payloads."""
        if not self._fits_request(request):
            return []
        fitting = [n for n, one in enumerate(request.summaries) if self._fits(one)]
        if not (self.text and fitting) or contains(_texts(request), self.text):
            return fitting
        payloads = request.payloads
        return [n for n in fitting if excerpt(payloads[n], self.text)]

    def wants(self, request: RecordedRequest) -> bool:
        """Whether it has a matching payload or, if it can't be read, its text matches."""
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
    """The text in the payload with its context; empty if it is not found."""
    wanted = text.casefold()
    for found in _readings(payload):
        folded = found.casefold()
        at = folded.find(wanted)
        if at < 0:
            continue
        if len(folded) != len(found):
            # A folded "ß" is longer: take the excerpt from the folded text.
            found = folded
        start, end = max(0, at - _BEFORE), at + len(wanted) + _AFTER
        around = found[start:end]
        return ("…" if start else "") + around + ("…" if end < len(found) else "")
    return ""


def contains(texts: list[str], wanted: str) -> bool:
    return any(wanted.casefold() in text.casefold() for text in texts)


def _readings(payload: Payload) -> Iterator[str]:
    """The payload's text without escapes, so that "Zoë" is found in "Zo\\u00eb"; and as it
    was received, for text copied from there."""
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
