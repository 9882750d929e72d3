"""What an unmodified tracer sends besides payloads: accepted, counted and discarded.

The paths are those of the Agent's receiver (``pkg/trace/api/endpoints.go``).
"""

from __future__ import annotations

import json

CONFIG_PATH = "/v0.7/config"
_TRACES = tuple(
    f"/v{version}/traces" for version in ("0.1", "0.2", "0.3", "0.4", "0.5", "0.7", "1.0")
)
#: All paths under these are included, too.
_PREFIXES = ("/telemetry/proxy/", "/evp_proxy/", "/profiling/", "/dogstatsd/", "/tracer_flare/")
_EXACT = (*_TRACES, "/v0.6/stats", "/v0.1/pipeline_stats", "/services", "/v0.3/services")

#: Routes that ``/info`` lists besides the debugger's, since tracers look for them.
LISTED = (
    "/v0.3/traces",
    "/v0.4/traces",
    "/v0.5/traces",
    "/v0.6/stats",
    CONFIG_PATH,
    "/telemetry/proxy/",
)


def is_a_tracers(path: str) -> bool:
    """Whether it is one of the Agent's other routes."""
    return path in _EXACT or path.startswith(_PREFIXES)


def answer_to(path: str) -> bytes:
    """The JSON of a successful response on that route."""
    return json.dumps({"rate_by_service": {}} if path in _TRACES else {}).encode()


def family(path: str) -> str:
    """The name under which it is counted: ``traces`` for every version of that route."""
    if path in _TRACES:
        return "traces"
    if path == CONFIG_PATH:
        return "remote configuration"
    return path.strip("/").split("/")[0] if path.startswith(_PREFIXES) else path
