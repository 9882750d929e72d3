"""What a `file://` endpoint or `queue export` wrote: read by its requests, not as payloads."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from running_cli import run
from sample_data import SAMPLES

from livedebug_sender.intake.server import Intake

NAMES = ("diagnostics.json", "snapshots.json", "logs.json", "symdb.body")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """All samples, as they were sent to a file."""
    file = tmp_path / "recorded.jsonl"
    sent = run(
        "send", *(SAMPLES / name for name in NAMES), DD_TRACE_AGENT_URL=f"file://{file}", DD_TAGS=""
    )
    assert sent.exit_code == 0, sent.output
    return file


@pytest.mark.parametrize("packed", [False, True])
def test_each_payload_of_a_recording_is_sent_to_its_own_track(
    recording: Path, livedebug_intake: Intake, packed: bool
) -> None:
    if packed:
        recording.write_bytes(gzip.compress(recording.read_bytes()))
    ended = run("send", recording, "--agent", livedebug_intake.url, "--json")
    told = json.loads(ended.stdout)
    assert (ended.exit_code, told["delivered"], told["problems"]) == (0, 40, [])
    for track in ("diagnostics", "snapshots", "logs"):
        expected = json.loads((SAMPLES / f"{track}.json").read_bytes())
        assert livedebug_intake.payloads(track) == expected
    (upload,) = [one for one in livedebug_intake.requests if one.path == "/symdb/v1/input"]
    assert upload.body == (SAMPLES / "symdb.body").read_bytes()


def test_a_recording_of_the_samples_has_no_findings(recording: Path) -> None:
    ended = run("lint", recording)
    assert (ended.exit_code, ended.stdout) == (0, "40 payloads: 0 findings\n")


def record(body: Any = "[]", **more: Any) -> str:
    headers = {"content-type": "application/json"}
    return json.dumps({"method": "POST", "path": "/x", "headers": headers, "body": body, **more})


def test_a_finding_in_a_recording_is_in_the_line_of_its_request(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    status = '{"ddsource": "dd_debugger", "service": "s",\n\n "debugger": {"diagnostics": {}}}'
    file.write_text(f"{record()}\n{record(f'[3, {status}]')}\n")
    ended = run("lint", file, "--json")
    found = json.loads(ended.stdout)["findings"]
    assert {one["line"] for one in found} == {2}
    assert {one["payload"] for one in found} == {"line 2, payload 1", "line 2, payload 2"}
    assert "/debugger/diagnostics/status" in {one["pointer"] for one in found}


BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"method": "POST"}', "not a recorded request; expected: path, headers, and body"),
        ('{"method": "POST", ', "not JSON"),
        (record(headers=[]), "not a recorded request"),
        (record(path=3), "not a recorded request"),
        (record(body_base64="?"), "not a recorded request"),
        (record(body_base64="//8="), "a recorded body that is not JSON"),
        (record("3"), "a recorded body that is not a JSON object or array"),
        (record("["), "a recorded body that is not JSON"),
        (
            record("--b\r\n\r\nx\r\n--b--", headers=BOUNDARY),
            "a recorded multipart body without the part",
        ),
    ],
)
def test_a_line_that_is_no_recorded_request_is_named_and_the_others_are_sent(
    line: str, said: str, livedebug_intake: Intake
) -> None:
    stdin = f"{record(chr(10).join(['[', ']']))}\n{line}\n{record('[{}]')}\n".encode()
    ended = run("send", "-", "--agent", livedebug_intake.url, stdin=stdin)
    assert ended.exit_code == 1
    assert f"standard input, line 2: {said}" in ended.stderr
    assert livedebug_intake.payloads() == [{}]


def statuses_body() -> bytes:
    """As it goes to an agent."""
    statuses = (SAMPLES / "diagnostics.json").read_bytes()
    head = b'Content-Disposition: form-data; name="event"; filename="event.json"\r\n'
    head += b"Content-Type: application/json\r\n\r\n"
    return b"--b\r\n" + head + statuses + b"\r\n--b--\r\n"


@pytest.mark.parametrize("track", ["auto", "diagnostics"])
def test_the_body_of_a_request_with_statuses_is_taken_for_its_statuses(
    track: str, livedebug_intake: Intake
) -> None:
    options = ("--track", track, "--agent", livedebug_intake.url)
    ended = run("send", "-", *options, stdin=statuses_body())
    assert (ended.exit_code, ended.stderr) == (0, "")
    expected = json.loads((SAMPLES / "diagnostics.json").read_bytes())
    assert livedebug_intake.payloads("diagnostics") == expected
    linted = run("lint", "-", "--track", track, stdin=statuses_body())
    assert (linted.exit_code, linted.stdout) == (0, f"{len(expected)} payloads: 0 findings\n")


def test_a_finding_in_the_body_of_a_request_with_statuses_names_its_payload() -> None:
    body = statuses_body().replace(b'"EMITTING"', b'"OK"', 1)
    (finding,) = json.loads(run("lint", "-", "--json", stdin=body).stdout)["findings"]
    assert finding["pointer"] == "/debugger/diagnostics/status"
    assert (finding["line"], finding["track"]) == (None, "diagnostics")
    assert finding["payload"].startswith("payload ")


def test_statuses_are_not_sent_as_another_track() -> None:
    options = ("--track", "logs", "--agent", "http://localhost:1")
    ended = run("send", "-", *options, stdin=statuses_body())
    assert "multipart, as diagnostics' bodies are; expected: JSON, for logs" in ended.stderr


def test_a_track_for_all_of_a_recording_is_refused(recording: Path) -> None:
    ended = run("send", "logs", recording, "--agent", "http://localhost:1")
    assert ended.exit_code == 1
    assert "recorded requests, each of its own track; leave logs out" in ended.stderr
