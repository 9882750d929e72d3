"""What `send` reads: files of every kind, and what is wrong with one."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from running_cli import run
from sample_data import SAMPLES

from livedebug_sender.intake.server import Intake


@pytest.mark.parametrize("track", ["diagnostics", "logs", "snapshots"])
def test_the_payloads_of_a_file_are_delivered(track: str, livedebug_intake: Intake) -> None:
    ended = run("send", track, SAMPLES / f"{track}.json", "--agent", livedebug_intake.url)
    expected = json.loads((SAMPLES / f"{track}.json").read_bytes())
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert f"{len(expected)} payloads of {track}" in ended.stdout
    assert f"{len(expected)} delivered" in ended.stdout
    assert livedebug_intake.payloads(track) == expected


def test_several_files_and_standard_input_go_in_their_order(
    livedebug_intake: Intake, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('[{"n": 1}, {"n": 2}]')
    (tmp_path / "b.jsonl").write_text('{"n": 5}\n{"n": 6}\n')
    files = [tmp_path / "a.json", "-", tmp_path / "b.jsonl"]
    stdin = b'{"n": 3}\n{"n": 4}\n'
    ended = run("send", "logs", *files, "--agent", livedebug_intake.url, stdin=stdin)
    assert ended.exit_code == 0
    assert [payload["n"] for payload in livedebug_intake.payloads()] == [1, 2, 3, 4, 5, 6]


def test_a_symdb_body_goes_as_it_is_with_its_content_type(livedebug_intake: Intake) -> None:
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    body = SAMPLES / "symdb.body"
    agent = ("--agent", livedebug_intake.url)
    ended = run("send", "symdb", body, "--content-type", content_type, *agent)
    assert ended.exit_code == 0
    (request,) = livedebug_intake.requests
    assert request.body == body.read_bytes()
    assert request.headers["content-type"] == content_type


def test_an_empty_file_is_nothing_to_send_and_no_failure(livedebug_intake: Intake) -> None:
    ended = run("send", "logs", "-", "--agent", livedebug_intake.url, stdin=b"")
    assert ended.exit_code == 0
    assert "0 payloads" in ended.stdout


@pytest.mark.parametrize("body", [b"", b"x" * 2000])
def test_a_symdb_body_that_cannot_be_sent_is_told(
    body: bytes, livedebug_intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livedebug_sender.cli.input_files.MAX_BODY", 1000)
    options = ("--content-type", "text/plain", "--agent", livedebug_intake.url)
    ended = run("send", "symdb", "-", *options, stdin=body)
    assert ended.exit_code == 1
    assert "standard input: " in ended.stderr
    assert livedebug_intake.requests == []


def test_a_symdb_body_sent_as_json_is_told_once(livedebug_intake: Intake) -> None:
    body = SAMPLES / "symdb.body"
    ended = run("send", "logs", body, "--agent", livedebug_intake.url)
    assert ended.exit_code == 1
    assert ended.stderr == f"{body}: multipart, as symdb's bodies are; expected: JSON, for logs\n"
    assert livedebug_intake.requests == []


@pytest.mark.parametrize("arguments", [("auto",), (), ("--track", "auto")])
def test_each_payload_goes_to_its_own_track(
    livedebug_intake: Intake, arguments: tuple[str, ...]
) -> None:
    files = [SAMPLES / name for name in ("diagnostics.json", "snapshots.json", "symdb.body")]
    ended = run("send", *arguments, *files, "--agent", livedebug_intake.url)
    assert (ended.exit_code, ended.stderr) == (0, "")
    for track in ("diagnostics", "snapshots"):
        expected = json.loads((SAMPLES / f"{track}.json").read_bytes())
        assert livedebug_intake.payloads(track) == expected
    (upload,) = [request for request in livedebug_intake.requests if "/symdb/" in request.path]
    assert upload.body == (SAMPLES / "symdb.body").read_bytes()
    assert upload.headers["content-type"] == (SAMPLES / "symdb.content_type").read_text().strip()


def test_an_array_of_several_tracks_goes_by_its_elements_as_they_are(
    livedebug_intake: Intake,
) -> None:
    snapshot = b'{"n":12345678901234567890.10,"debugger":{"snapshot":{"captures":{"a":1}}}}'
    stdin = b'[[{"n":1e2},' + snapshot + b"]]"
    ended = run("send", "auto", "-", "--agent", livedebug_intake.url, stdin=stdin)
    assert ended.exit_code == 0
    bodies = {request.path: request.body for request in livedebug_intake.requests}
    assert bodies["/debugger/v2/input"] == b"[" + snapshot + b"]"
    assert b'[{"n":1e2}]' in bodies["/debugger/v1/diagnostics"]


def test_a_gzipped_file_is_opened(livedebug_intake: Intake, tmp_path: Path) -> None:
    (tmp_path / "logs.json.gz").write_bytes(gzip.compress((SAMPLES / "logs.json").read_bytes()))
    ended = run("send", "logs", tmp_path / "logs.json.gz", "--agent", livedebug_intake.url)
    assert ended.exit_code == 0
    assert livedebug_intake.payloads("logs") == json.loads((SAMPLES / "logs.json").read_bytes())


def test_a_gzipped_file_that_is_cut_off_is_named_and_what_came_before_is_sent(
    livedebug_intake: Intake, tmp_path: Path
) -> None:
    lines = b"".join(
        b'{"n": %d, "x": "%s"}\n' % (n, os.urandom(30).hex().encode()) for n in range(9000)
    )
    (tmp_path / "cut.gz").write_bytes(gzip.compress(lines)[:-100])
    ended = run("send", "logs", tmp_path / "cut.gz", "--agent", livedebug_intake.url)
    assert ended.exit_code == 1
    assert "can't be read to its end" in ended.stderr
    assert len(livedebug_intake.payloads()) > 1000


VALUES = {f"v{n}": {"type": "str", "value": "x" * 12_000} for n in range(100)}
LARGE = {"debugger": {"snapshot": {"captures": {"entry": {"locals": VALUES}}}}}


def test_a_payload_that_is_too_large_is_named_as_such(livedebug_intake: Intake) -> None:
    stdin = json.dumps([LARGE]).encode()
    agent = ("--agent", livedebug_intake.url)
    ended = run("send", "snapshots", "-", *agent, stdin=stdin)
    assert ended.exit_code == 1
    assert "standard input, payload 1: larger than 1 MiB" in ended.stderr
    assert "see --prune (too_large)" in ended.stdout


def test_a_snapshot_that_is_too_large_is_pruned_if_asked_for(livedebug_intake: Intake) -> None:
    stdin = json.dumps([LARGE]).encode()
    ended = run("send", "-", "--prune", "--agent", livedebug_intake.url, stdin=stdin)
    assert ended.exit_code == 0
    (request,) = livedebug_intake.requests
    assert len(request.body) <= 1_048_576
