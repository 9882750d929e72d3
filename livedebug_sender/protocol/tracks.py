"""The tracks, and how each is sent: its paths, and where its tags go.

Paths and headers are those that libdatadog's ``datadog-live-debugger`` sends and the Datadog
Agent's debugger and SymDB proxies forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from ..errors import ConfigError


class Track(str, Enum):
    """A kind of payload; equal to its string."""

    DIAGNOSTICS = "diagnostics"
    SNAPSHOTS = "snapshots"
    LOGS = "logs"
    SYMDB = "symdb"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def _missing_(cls, value: object) -> Track:
        names = ", ".join(track.value for track in cls)
        shown = f"{value!r:.80}" if isinstance(value, str) else f"a {type(value).__name__}"
        raise ConfigError(f"the track is {shown}; expected: one of {names}")


class Route(NamedTuple):
    """The wire format of a track."""

    agent_path: str
    intake_path: str
    multipart: bool
    tags_in_header: bool
    origin: str


_INTAKE = "/api/v2/debugger"
DIAGNOSTICS_PATH = "/debugger/v1/diagnostics"
V2_PATH = "/debugger/v2/input"

ROUTES: dict[Track, Route] = {
    Track.DIAGNOSTICS: Route(DIAGNOSTICS_PATH, _INTAKE, True, False, "agent-debugger"),
    Track.SNAPSHOTS: Route(V2_PATH, _INTAKE, False, False, "agent-debugger"),
    Track.LOGS: Route(V2_PATH, _INTAKE, False, False, "agent-debugger"),
    Track.SYMDB: Route("/symdb/v1/input", _INTAKE, False, True, "agent-symdb"),
}

#: The tracks that a downgrade moves to the diagnostics route.
V2_TRACKS = tuple(track for track in Track if ROUTES[track].agent_path == V2_PATH)


def track_of_payload(payload: Mapping[str, Any]) -> Track:
    """The track of a decoded debugger payload.

    A snapshot with captures belongs to snapshots, one without to logs, everything else to
    diagnostics.
    """
    snapshot = _get(_get(payload, "debugger"), "snapshot")
    if snapshot is None:
        return Track.DIAGNOSTICS
    return Track.SNAPSHOTS if _get(snapshot, "captures") else Track.LOGS


def agent_info_supports_debugger_v2_endpoint(info: Mapping[str, Any]) -> bool:
    """Whether an agent's ``/info`` (decoded) lists ``/debugger/v2/input``.

    With or without the leading slash: agents differ in this.
    """
    endpoints = _get(info, "endpoints")
    listed = endpoints if isinstance(endpoints, (list, tuple)) else ()
    return V2_PATH in listed or V2_PATH.removeprefix("/") in listed


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
