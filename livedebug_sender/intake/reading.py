"""Parses the requests to the intake's routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal
from urllib.parse import parse_qs

from ..protocol.tracks import DIAGNOSTICS_PATH, ROUTES, Track, track_of_payload
from .json_text import decoded, elements
from .multipart import Part, Unpacker, parts_of
from .summary import PayloadSummary, summarize, summarize_symdb

INTAKE_PATH = ROUTES[Track.LOGS].intake_path
#: The path to which agentless tracers sent logs before there was a debugger intake.
LOGS_PATH = "/api/v2/logs"
SYMDB_PATH = ROUTES[Track.SYMDB].agent_path
#: The Agent's first route for snapshots and logs, which older tracers use.
V1_PATH = "/debugger/v1/input"
AGENT_PATHS = (*dict.fromkeys(route.agent_path for route in ROUTES.values()), V1_PATH)
INTAKE_PATHS = (INTAKE_PATH, LOGS_PATH)
PATHS = (*AGENT_PATHS, *INTAKE_PATHS)

Mode = Literal["agent", "agentless"]

#: A request with more payloads is refused, since each needs a summary.
MAX_PAYLOADS = 50_000


@dataclass(frozen=True)
class Payload:
    """One payload.

    Attributes:
        value: the decoded JSON; for a SymDB upload ``{"event": ..., "symbols": ...}``, its
            two parts, decompressed.
        texts: the JSON as it was received, by the name of the part (empty if there are none).
    """

    summary: PayloadSummary
    value: Any
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reading:
    """A parsed request.

    Attributes:
        mode: the sender's mode, by the path.
        problem: why the body can't be parsed; empty if it can.
    """

    mode: Mode
    tags: str
    summaries: tuple[PayloadSummary, ...] = ()
    problem: str = ""


def read(path: str, query: str, headers: Mapping[str, str], body: bytes) -> Reading:
    """Parse a request; never raises.

    Args:
        headers: names in lower case; values as in WSGI, bytes decoded as Latin-1.
    """
    mode: Mode = "agentless" if path in INTAKE_PATHS else "agent"
    header_tags = headers.get("x-datadog-additional-tags", "")
    tags = _utf8(header_tags) or ",".join(parse_qs(query).get("ddtags", []))
    try:
        found = payloads_of(path, headers, body)
        summaries = tuple(payload.summary for payload in islice(found, MAX_PAYLOADS + 1))
    except RecursionError:
        return Reading(mode, tags, problem="the JSON is nested too deep")
    except ValueError as error:
        return Reading(mode, tags, problem=str(error))
    if len(summaries) > MAX_PAYLOADS:
        return Reading(mode, tags, problem=f"more than {MAX_PAYLOADS:,} payloads in one request")
    return Reading(mode, tags, summaries)


def payloads_of(path: str, headers: Mapping[str, str], body: bytes) -> Iterator[Payload]:
    """The payloads of a request, decoded one by one.

    Raises:
        ValueError: the body can't be parsed.
    """
    unpacker = Unpacker()
    body = unpacker.unpack(body)
    content_type = headers.get("content-type", "")
    is_symdb = path == SYMDB_PATH or headers.get("dd-evp-origin") == "agent-symdb"
    if not content_type.lower().startswith("multipart/"):
        if is_symdb:
            if not body:  # sent by `check`, like `[]` on the other tracks
                return
            event, text = decoded(body, "the body")
            yield _upload((event, text), None)
            return
        for value, text in elements(body, "the body"):
            track = _track(value, on_diagnostics=path == DIAGNOSTICS_PATH)
            yield _payload(value, text, track)
        return
    parts = parts_of(content_type, body, unpacker)
    if is_symdb:
        yield _upload_of(parts)
        return
    for part in parts:
        for value, text in elements(part.content, f"the part {part.name!r:.40}"):
            yield _payload(value, text, Track.DIAGNOSTICS)


def _track(value: Any, *, on_diagnostics: bool) -> Track:
    """The track of a payload that was sent as plain JSON.

    Snapshots and logs share a route, which after a downgrade is that of diagnostics: there
    the content of a payload decides.
    """
    shape = track_of_payload(value) if isinstance(value, Mapping) else Track.DIAGNOSTICS
    return Track.LOGS if shape is Track.DIAGNOSTICS and not on_diagnostics else shape


def _payload(value: Any, text: str, track: Track) -> Payload:
    size = len(text) if text.isascii() else len(text.encode())
    summary = summarize(value, track, size)
    return Payload(summary, value, (("", text),))


def _upload_of(parts: list[Part]) -> Payload:
    """An event, and the symbols as an attached file; one of them may be missing."""
    event = symbols = None
    for part in parts:
        content = decoded(part.content, f"the part {part.name!r:.40}")
        if part.name == "event" or part.filename == "event.json":
            event = content
        else:
            symbols = content
    return _upload(event, symbols)


def _upload(event: tuple[Any, str] | None, symbols: tuple[Any, str] | None) -> Payload:
    given = {"event": event, "symbols": symbols}
    value = {name: part[0] if part else None for name, part in given.items()}
    texts = tuple((name, part[1]) for name, part in given.items() if part)
    size = sum(len(text.encode()) for _, text in texts)
    return Payload(summarize_symdb(value["event"], value["symbols"], size), value, texts)


def _utf8(value: str) -> str:
    return value.encode("latin-1", "replace").decode("utf-8", "replace")
