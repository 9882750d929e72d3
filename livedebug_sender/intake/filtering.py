"""Which requests, and which payloads in them, are wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from .reading import Glance, Payload
from .store import Kept


@dataclass(frozen=True)
class Wanted:
    """Empty: everything. What is given must all fit."""

    track: str = ""
    probe: str = ""
    service: str = ""
    text: str = ""

    def payloads(self, kept: Kept) -> list[tuple[int, Payload]]:
        """The wanted payloads of a request, decoded, each with its place in it."""
        found = [(n, p) for n, p in enumerate(kept.payloads) if self.fits(p.glance)]
        return [(n, p) for n, p in found if self._is_in(_texts(kept), p)] if self.text else found

    def matches(self, kept: Kept) -> int:
        """How many payloads of a request are wanted."""
        if self.text:
            return len(self.payloads(kept))
        return sum(map(self.fits, kept.glances))

    def wants(self, kept: Kept) -> bool:
        """Is a request to be listed? One that can't be read, if its text fits."""
        if kept.glances:
            return self.matches(kept) > 0
        if self.track or self.probe or self.service:
            return False
        body = kept.body.decode("utf-8", "replace")
        return _contains([*_texts(kept), kept.problem, body], self.text)

    def fits(self, glance: Glance) -> bool:
        return (
            self.track in ("", glance.track)
            and self.probe in ("", glance.probe)
            and self.service in ("", glance.service)
        )

    def _is_in(self, texts: list[str], payload: Payload) -> bool:
        # Without escapes, so that "Zoë" is found in "Zo\u00eb".
        return _contains([*texts, json.dumps(payload.value, ensure_ascii=False)], self.text)


def _texts(kept: Kept) -> list[str]:
    return [kept.path, kept.tags, str(kept.status)]


def _contains(texts: Iterable[str], wanted: str) -> bool:
    return any(wanted.casefold() in text.casefold() for text in texts)
