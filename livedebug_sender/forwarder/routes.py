"""The Agent's debugger routes: the destination of each, and where its tags are sent.

As in the Datadog Agent's ``pkg/trace/api`` (``debugger.go``, ``symdb.go``).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.tracks import ROUTES as TRACK_ROUTES
from ..protocol.tracks import V2_PATH, Track


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes:
        path: the path that tracers post to.
        variable: the prefix of the Agent's variables for its destination.
        intake: its URL at a site, unless a variable overrides it.
        track: the sender's track whose queue holds its bodies.
        tags_in_header: whether tags are sent in a header; otherwise in the query.
        origin: the value of ``DD-EVP-ORIGIN``.
    """

    path: str
    variable: str
    intake: str
    track: Track
    tags_in_header: bool
    origin: str


def _route(path: str, variable: str, intake: str, track: Track) -> Route:
    wire = TRACK_ROUTES[track]
    return Route(path, variable, intake, track, wire.tags_in_header, wire.origin)


_LOGS = "https://http-intake.logs.{site}/api/v2/logs"
_DEBUGGER = "https://debugger-intake.{site}" + TRACK_ROUTES[Track.DIAGNOSTICS].intake_path

_TABLE = (
    # From tracers older than /debugger/v2/input: snapshots and logs, sent as logs.
    _route("/debugger/v1/input", "DD_APM_DEBUGGER", _LOGS, Track.LOGS),
    _route(
        TRACK_ROUTES[Track.DIAGNOSTICS].agent_path,
        "DD_APM_DEBUGGER_DIAGNOSTICS",
        _DEBUGGER,
        Track.DIAGNOSTICS,
    ),
    _route(V2_PATH, "DD_APM_DEBUGGER_DIAGNOSTICS", _DEBUGGER, Track.SNAPSHOTS),
    _route(TRACK_ROUTES[Track.SYMDB].agent_path, "DD_APM_SYMDB", _DEBUGGER, Track.SYMDB),
)

#: By path. Other paths are not forwarded.
ROUTES: dict[str, Route] = {route.path: route for route in _TABLE}

#: The other paths that tracers send to, by kind of data; all else is "other".
_OTHERS = {
    "traces": (
        *(f"/v{version}/traces" for version in ("0.1", "0.2", "0.3", "0.4", "0.5", "0.7", "1.0")),
        *(f"/v{version}/services" for version in ("0.1", "0.2", "0.3", "0.4")),
        "/v0.1/spans",
        "/spans",
        "/services",
    ),
    "stats": ("/v0.6/stats", "/v0.1/pipeline_stats"),
    "telemetry": ("/telemetry/proxy/",),
    "other": (
        "/profiling/v1/input",
        *(f"/evp_proxy/v{version}/" for version in (1, 2, 3, 4)),
        "/openlineage/api/v1/lineage",
        "/dogstatsd/v1/proxy",
        "/dogstatsd/v2/proxy",
        "/tracer_flare/v1",
    ),
}
SWALLOWED = tuple(_OTHERS)
#: These paths; one that ends with a slash includes all paths under it.
SWALLOWED_PATHS = {path: kind for kind, paths in _OTHERS.items() for path in paths}
_UNDER = tuple(path for path in SWALLOWED_PATHS if path.endswith("/"))


def swallowed_kind(path: str) -> str | None:
    """The kind of data that tracers send to this path of an agent; None for an unknown path."""
    kind = SWALLOWED_PATHS.get(path)
    if kind is None and path.startswith(_UNDER):
        kind = next(SWALLOWED_PATHS[under] for under in _UNDER if path.startswith(under))
    return kind
