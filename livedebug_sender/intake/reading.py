"""What a request holds, as somebody who reads it would say. Pure: bytes in, facts out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from ..protocol.tracks import ROUTES, Track, track_of_payload
from .multipart import Part, parts_of, unpacked

INTAKE_PATH = ROUTES[Track.LOGS].intake_path
SYMDB_PATH = ROUTES[Track.SYMDB].agent_path
AGENT_PATHS = tuple(dict.fromkeys(route.agent_path for route in ROUTES.values()))

#: Of a message, in a list; the payload itself has the whole.
_MOST_SHOWN = 300
#: Deeper JSON is refused: walking it would use up Python's stack. Tracers capture to a
#: depth of three or so, which is about 15 in JSON.
_DEEPEST = 200


@dataclass(frozen=True)
class Glance:
    """What a list says of a payload.

    Attributes:
        kind: ``snapshot``, ``log``, ``status``, ``symdb`` or ``other``.
        status: of a probe, for the kind ``status``.
        timestamp: milliseconds since 1970, as the payload says; None if it doesn't.
    """

    kind: str
    track: Track
    service: str = ""
    probe: str = ""
    status: str = ""
    message: str = ""
    timestamp: float | None = None


@dataclass(frozen=True)
class Payload:
    """One payload: the decoded JSON, and a glance at it.

    Of a SymDB upload ``{"event": ..., "symbols": ...}``: its two parts, gzip undone.
    """

    glance: Glance
    value: Any


@dataclass(frozen=True)
class Reading:
    """A request that was read.

    Attributes:
        problem: why the body can't be read; empty if it can.
    """

    mode: str
    tags: str
    payloads: tuple[Payload, ...] = ()
    problem: str = ""

    @property
    def tracks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(payload.glance.track) for payload in self.payloads))


def read(path: str, query: str, headers: Mapping[str, str], body: bytes) -> Reading:
    """Read a request to one of the debugger routes; never raises.

    Args:
        headers: names in lower case; values as WSGI has them, bytes as Latin-1.
    """
    mode = "agentless" if path == INTAKE_PATH else "agent"
    header_tags = headers.get("x-datadog-additional-tags", "")
    tags = _utf8(header_tags) or ",".join(parse_qs(query).get("ddtags", []))
    try:
        return Reading(mode, tags, tuple(_payloads(path, headers, body)))
    except RecursionError:
        return Reading(mode, tags, problem="the JSON is nested too deep")
    except ValueError as error:
        return Reading(mode, tags, problem=str(error))


def _payloads(path: str, headers: Mapping[str, str], body: bytes) -> list[Payload]:
    body = unpacked(body)
    content_type = headers.get("content-type", "")
    if content_type.lower().startswith("multipart/"):
        parts = parts_of(content_type, body)
        if path == SYMDB_PATH or headers.get("dd-evp-origin") == "agent-symdb":
            return [_upload(parts)]
        arrays = [_json(part.content, f"the part {part.name!r:.40}") for part in parts]
        return [_payload(value) for array in arrays for value in _elements(array)]
    value = _json(body, "the body")
    if path == SYMDB_PATH or headers.get("dd-evp-origin") == "agent-symdb":
        return [Payload(_symdb_glance(value, None), {"event": value, "symbols": None})]
    return [_payload(element) for element in _elements(value)]


def _elements(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _json(text: bytes, what: str) -> Any:
    try:
        # NaN and Infinity are no JSON, and no browser would read them back.
        value = json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ValueError(f"{what} is no UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{what} is no JSON: {error}") from None
    if _deeper_than(_DEEPEST, value):
        raise ValueError(f"{what} is JSON nested deeper than {_DEEPEST}")
    return value


def _deeper_than(most: int, value: Any) -> bool:
    level = [value]
    for _ in range(most + 1):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _payload(value: Any) -> Payload:
    return Payload(glance_at(value), value)


def glance_at(value: Any) -> Glance:
    """A debugger payload at a glance; whatever it is, of the kind `other` at least."""
    if not isinstance(value, Mapping):
        return Glance("other", Track.DIAGNOSTICS, message=_short(value))
    debugger = _mapping(value.get("debugger"))
    statuses = _mapping(debugger.get("diagnostics"))
    snapshot = _mapping(debugger.get("snapshot"))
    track = track_of_payload(value)
    if track is Track.DIAGNOSTICS:
        kind, probe = ("status" if statuses else "other"), statuses.get("probeId")
    else:
        kind = "snapshot" if track is Track.SNAPSHOTS else "log"
        probe = _mapping(snapshot.get("probe")).get("id")
    timestamp = value.get("timestamp")
    return Glance(
        kind,
        track,
        service=_short(value.get("service")),
        probe=_short(probe),
        status=_short(statuses.get("status")),
        message=_short(value.get("message")),
        timestamp=timestamp if type(timestamp) in (int, float) else None,
    )


def _upload(parts: list[Part]) -> Payload:
    """An event, and the symbols as an attached file; either may come alone."""
    event: Any = None
    symbols: Any = None
    for part in parts:
        value = _json(part.content, f"the part {part.name!r:.40}")
        if part.name == "event" or part.filename == "event.json":
            event = value
        else:
            symbols = value
    return Payload(_symdb_glance(event, symbols), {"event": event, "symbols": symbols})


def _symdb_glance(event: Any, symbols: Any) -> Glance:
    said = {**_mapping(symbols), **_mapping(event)}
    scopes = _mapping(symbols).get("scopes")
    names = [_short(_mapping(s).get("name")) for s in scopes] if isinstance(scopes, list) else []
    return Glance(
        "symdb", Track.SYMDB, service=_short(said.get("service")), message=_short(", ".join(names))
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _short(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def _utf8(value: str) -> str:
    return value.encode("latin-1", "replace").decode("utf-8", "replace")
