"""Summaries of payloads, for lists."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..protocol.tracks import Track

#: Maximum characters of a field in a list; the payload itself has all of them.
_MAX_SHOWN = 300
#: Maximum milliseconds since 1970 that a browser can show (ECMAScript, "Time Values").
_MAX_TIMESTAMP = 8.64e15


PayloadKind = Literal["snapshot", "log", "status", "symdb", "other"]


@dataclass(frozen=True)
class PayloadSummary:
    """A payload in one line; fields that it does not have are empty.

    Attributes:
        kind: by its content, whatever route it was sent to.
        track: of the route that it was sent to.
        status: of a probe, for the kind ``status``.
        timestamp: milliseconds since 1970; None if missing or beyond what can be shown.
        file, line, function: the location of the probe, else the top of the stack.
        exception: the captured exception, or the error of a probe.
        size: bytes of its JSON, in UTF-8.
    """

    kind: PayloadKind
    track: Track
    service: str = ""
    probe: str = ""
    status: str = ""
    message: str = ""
    timestamp: float | None = None
    file: str = ""
    line: str = ""
    function: str = ""
    exception: str = ""
    size: int = 0


def summarize(value: Any, track: Track, size: int = 0) -> PayloadSummary:
    """The summary of a debugger payload; of the kind `other` if nothing else fits."""
    if not isinstance(value, Mapping):
        return PayloadSummary("other", track, message=short(value), size=size)
    debugger = _mapping(value.get("debugger"))
    diagnostics = _mapping(debugger.get("diagnostics"))
    snapshot = debugger.get("snapshot")
    kind: PayloadKind
    if isinstance(snapshot, Mapping):
        kind = "snapshot" if snapshot.get("captures") else "log"
        details = _of_snapshot(snapshot, _mapping(value.get("logger")))
    elif diagnostics:
        kind = "status"
        failure = _mapping(diagnostics.get("exception"))
        details = {
            "probe": short(diagnostics.get("probeId")),
            "status": short(diagnostics.get("status")),
            "exception": _thrown(failure),
        }
    else:
        kind, details = "other", {}
    return PayloadSummary(
        kind,
        track,
        service=short(value.get("service")),
        message=short(value.get("message")),
        timestamp=_timestamp(value.get("timestamp")),
        size=size,
        **details,
    )


def summarize_symdb(event: Any, symbols: Any, size: int = 0) -> PayloadSummary:
    """The summary of the two parts of a SymDB upload; its message names the scopes."""
    said = {**_mapping(symbols), **_mapping(event)}
    scopes = _mapping(symbols).get("scopes")
    names = [short(_mapping(s).get("name")) for s in _list(scopes)[:50]]
    return PayloadSummary(
        "symdb",
        Track.SYMDB,
        service=short(said.get("service")),
        message=short(", ".join(names)),
        size=size,
    )


def short(value: Any) -> str:
    """A value as a string of at most 300 characters."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _of_snapshot(snapshot: Mapping[str, Any], logger: Mapping[str, Any]) -> dict[str, str]:
    probe = _mapping(snapshot.get("probe"))
    location = _mapping(probe.get("location"))
    stack = snapshot.get("stack")
    top = _mapping(next(iter(_list(stack)), None))
    line = next(iter(_list(location.get("lines"))), None)
    method = [location.get("type"), location.get("method")]
    named = ".".join(part for part in method if isinstance(part, str) and part)
    return {
        "probe": short(probe.get("id")),
        "file": short(location.get("file") or top.get("fileName")),
        "line": short(line if line is not None else top.get("lineNumber")),
        "function": short(named or top.get("function") or logger.get("method")),
        "exception": _thrown_in(_mapping(snapshot.get("captures"))),
    }


def _thrown_in(captures: Mapping[str, Any]) -> str:
    lines = _mapping(captures.get("lines"))
    for capture in (captures.get("return"), *lines.values(), captures.get("entry")):
        if thrown := _thrown(_mapping(_mapping(capture).get("throwable"))):
            return thrown
    return ""


def _thrown(failure: Mapping[str, Any]) -> str:
    parts = [short(failure.get(name)) for name in ("type", "message")]
    return ": ".join(part for part in parts if part)


def _timestamp(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    # An int of 400 digits can't be a float; NaN compares false.
    return value if abs(value) <= _MAX_TIMESTAMP and not math.isnan(value) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
