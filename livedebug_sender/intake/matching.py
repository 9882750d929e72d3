"""Decides whether a payload matches, and if not, why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from ..protocol.tracks import Track
from .reading import Payload
from .summary import PayloadSummary

_FIELDS = tuple(field.name for field in fields(PayloadSummary) if field.name != "track")
_MAX_SHOWN = 120


class PayloadMatcher:
    """Conditions on a payload; all must hold.

    Args:
        track: of the route that it was sent to.
        match: a mapping of which every key is in the payload with a matching value (nested to
            any depth; a list matches element by element; a compiled pattern is searched in a
            string), or a function of the decoded payload.
        fields: of `PayloadSummary`: ``service``, ``probe``, ``message``, ``kind``, ...;
            each a value, or a compiled pattern.

    Raises:
        TypeError: no such field.
        ValueError: no such track.
    """

    def __init__(
        self,
        track: Track | str | None = None,
        match: Mapping[str, Any] | Callable[[Any], object] | None = None,
        **fields: Any,
    ) -> None:
        self.track = None if track is None else Track(track)
        self._match = match
        self._fields = fields
        for name in fields:
            if name not in _FIELDS:
                raise TypeError(f"no field {name!r:.40}; expected one of {', '.join(_FIELDS)}")

    def mismatch(self, payload: Payload) -> str:
        """The first condition that does not hold; empty if all do."""
        summary = payload.summary
        if self.track not in (None, summary.track):
            return f"track is {str(summary.track)!r}, expected {str(self.track)!r}"
        for name, expected in self._fields.items():
            if said := _difference(getattr(summary, name), expected, name):
                return said
        if callable(self._match):
            return "" if self._match(payload.value) else "the function match returned false"
        return "" if self._match is None else _difference(payload.value, self._match, "payload")

    def __str__(self) -> str:
        parts = [] if self.track is None else [f"track={str(self.track)!r}"]
        parts += [f"{name}={_shown(value)}" for name, value in self._fields.items()]
        if self._match is not None:
            named = getattr(self._match, "__name__", None)
            parts.append(f"match={named or _shown(self._match)}")
        return ", ".join(parts)


def _difference(found: Any, expected: Any, where: str) -> str:
    if isinstance(expected, re.Pattern):
        fits = isinstance(found, str) and expected.search(found)
        return (
            "" if fits else f"{where} is {_shown(found)}, expected a match of {expected.pattern!r}"
        )
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return f"{where} is {_shown(found)}, expected an object"
        for key, wanted in expected.items():
            if key not in found:
                return f"{where} has no {key!r}"
            if said := _difference(found[key], wanted, f"{where}.{key}"):
                return said
        return ""
    if isinstance(expected, (list, tuple)) and isinstance(found, list):
        if len(found) != len(expected):
            return f"{where} has {len(found)} elements, expected {len(expected)}"
        for n, (one, wanted) in enumerate(zip(found, expected, strict=True)):
            if said := _difference(one, wanted, f"{where}[{n}]"):
                return said
        return ""
    return "" if found == expected else f"{where} is {_shown(found)}, expected {_shown(expected)}"


def _shown(value: Any) -> str:
    text = f"re.compile({value.pattern!r})" if isinstance(value, re.Pattern) else repr(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
