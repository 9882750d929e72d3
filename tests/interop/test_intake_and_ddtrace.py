"""What the reference sends arrives at the local intake, and can be read there."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("ddtrace")

from ddtrace.internal.native import DebuggerSender, DebuggerTrackType, SymDBSender
from ddtrace.internal.native_runtime import get_native_runtime
from sample_data import SAMPLES

from livedebug_sender.intake.server import Intake

pytestmark = pytest.mark.interop

NATIVE_TRACKS = {
    "diagnostics": DebuggerTrackType.Diagnostics,
    "snapshots": DebuggerTrackType.Snapshots,
    "logs": DebuggerTrackType.Logs,
}


def native(kind: Any, url: str, key: str | None) -> Any:
    return kind(
        get_native_runtime(),
        url=url,
        api_key=key,
        tags="env:test,team:é",
        timeout_ms=5000,
        test_session_token=None,
    )


@pytest.mark.parametrize("key", [None, "0123456789abcdef0123456789abcdef"])
@pytest.mark.parametrize("track", sorted(NATIVE_TRACKS))
def test_payloads_of_the_reference_are_read(
    track: str, key: str | None, livedebug_intake: Intake
) -> None:
    # The reference takes the first and last bytes for brackets, whatever they are.
    body = (SAMPLES / f"{track}.json").read_bytes().strip()
    native(DebuggerSender, livedebug_intake.url, key).send(body, NATIVE_TRACKS[track])
    assert livedebug_intake.payloads(track) == json.loads(body)
    (request,) = livedebug_intake.requests
    assert (request.mode, request.tags) == ("agentless" if key else "agent", "env:test,team:é")
    assert (request.problem, request.tracks) == ("", (track,))


@pytest.mark.parametrize("key", [None, "0123456789abcdef0123456789abcdef"])
def test_a_symdb_upload_of_the_reference_is_read(key: str | None, livedebug_intake: Intake) -> None:
    body = (SAMPLES / "symdb.body").read_bytes()
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    native(SymDBSender, livedebug_intake.url, key).send(body, content_type)
    (upload,) = livedebug_intake.payloads("symdb")
    assert upload["symbols"]["scopes"][0]["name"] == "shop"
    assert livedebug_intake.requests[0].body == body
