"""Checks the connection to each endpoint, its ``/info`` and its response."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import DeliveryError
from ..protocol.endpoint import Endpoint, path_of
from ..protocol.payload import Item, Upload
from ..protocol.request import build_request
from ..protocol.tracks import V2_TRACKS, Track, agent_info_supports_debugger_v2_endpoint
from ..transport.response import MAX_READ
from ..transport.transport import Transport
from .connectivity import Step, connection_steps


@dataclass
class Finding:
    """The findings about one endpoint of one track."""

    track: Track
    role: str
    endpoint: Endpoint
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)


class Diagnosis:
    """Checks endpoints; steps that several of them share are done once."""

    def __init__(self) -> None:
        self._ways: dict[str, list[Step]] = {}
        self._infos: dict[str, list[Step]] = {}

    def of(self, track: Track, role: str, endpoint: Endpoint) -> Finding:
        finding = Finding(track, role, endpoint)
        if endpoint.scheme == "file":
            finding.steps.append(file_step(Path(urlsplit(endpoint.url).path)))
            return finding
        parts = urlsplit(endpoint.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._ways:
            self._ways[origin] = connection_steps(endpoint)
        finding.steps += self._ways[origin]
        if not finding.ok:
            return finding
        if not endpoint.agentless:
            if origin not in self._infos:
                self._infos[origin] = [info_step(endpoint)]
            finding.steps += self._infos[origin]
        finding.steps.append(answer_step(track, endpoint))
        return finding


def info_step(endpoint: Endpoint) -> Step:
    transport = Transport()
    try:
        info = transport.agent_info(endpoint, time.monotonic() + 2 * endpoint.timeout)
    finally:
        transport.close()
    if info is None:
        advice = "is that a Datadog agent, with APM enabled (port 8126)?"
        return Step("/info", False, "the answer is not that of an agent", advice)
    version = str(info.get("version", "?"))[:80]
    if agent_info_supports_debugger_v2_endpoint(info):
        return Step("/info", True, f"agent {version}, has /debugger/v2/input")
    return Step(
        "/info",
        True,
        f"agent {version}, has no /debugger/v2/input",
        "an older agent: snapshots and logs go to /debugger/v1/diagnostics; upgrade it if possible",
    )


def answer_step(track: Track, endpoint: Endpoint) -> Step:
    """Send an empty request."""
    empty: Item = Upload(b"", "application/json") if track is Track.SYMDB else b"[]"
    request = build_request(endpoint, path_of(endpoint, track), track, [empty], "", {})
    transport = Transport()
    deadline = time.monotonic() + 2 * endpoint.timeout
    try:
        answer = transport.exchange(request, max_body=MAX_READ, deadline=deadline)
    except DeliveryError as error:
        return Step(
            "answer",
            False,
            str(error),
            "it accepted the connection and sent no answer: see its log",
        )
    finally:
        transport.close()
    location = answer.header("location") or ""
    return meaning_of(answer.status, track, endpoint.agentless, location=location)


def meaning_of(status: int, track: Track, agentless: bool, *, location: str = "") -> Step:
    """What the status of the response to an empty request means.

    Args:
        location: the header of that name, for a redirect.
    """
    if 300 <= status < 400:
        return _redirect(status, location)
    ok, words, advice = _meaning(status, track, agentless)
    return Step("answer", ok, f"{status}: {words}", advice)


def _redirect(status: int, location: str) -> Step:
    said = f"{status}: a redirect to {location[:200] or 'nowhere'}, which is never followed"
    target = urlsplit(location)
    advice = "give the URL of the intake or the agent itself"
    if target.scheme in ("http", "https") and target.netloc:
        advice = f"if that is the right place, give its URL: {target.scheme}://{target.netloc}"
    return Step("answer", False, said, advice)


def _meaning(status: int, track: Track, agentless: bool) -> tuple[bool, str, str]:
    if 200 <= status < 300:
        return True, "accepted", ""
    if status in (400, 413, 422):
        return True, "it refused the empty request, which is fine", ""
    if status in (401, 403):
        if agentless:
            return False, "the API key was refused", "does the key belong to this site (DD_SITE)?"
        return False, "refused", "does the agent have a valid API key?"
    if status in (404, 405) and track in V2_TRACKS and not agentless:
        return True, "no such route; the diagnostics route is used instead", "upgrade the agent"
    if status in (404, 405):
        return False, "no such route", "is that an agent or an intake, and is it recent enough?"
    if status in (408, 429) or status >= 500:
        return False, "overloaded or failing", "try again later; see its log"
    return False, "refused", "see its log"


def file_step(path: Path) -> Step:
    there = path.exists()
    fitting = not path.is_dir() if there else path.parent.is_dir()
    if not (fitting and os.access(path if there else path.parent, os.W_OK)):
        return Step(
            "file", False, f"{path} can't be written", "does its folder exist, and is it writable?"
        )
    return Step("file", True, f"requests are written to {path}")
