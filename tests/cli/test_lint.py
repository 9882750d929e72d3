from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from running_cli import run
from sample_data import SAMPLES

ODD = """{"ddsource": "dd_debugger", "service": "shop",
 "debugger": {"diagnostics":
  {"probeId": 3, "runtimeId": "r", "status": "OK"}}}"""


@pytest.mark.parametrize("options", [(), ("--track", "auto")])
def test_the_samples_have_no_findings(options: tuple[str, ...]) -> None:
    names = ("diagnostics.json", "snapshots.json", "logs.json", "symdb.body")
    files = [SAMPLES / name for name in (*names, "large_snapshot.json.gz")]
    ended = run("lint", *files, *options)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "41 payloads: 0 findings" in ended.stdout


def test_a_finding_has_file_line_pointer_and_what_is_expected(tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    file.write_text(f"[\n{ODD}\n]")
    ended = run("lint", file)
    assert ended.exit_code == 1
    id_, status, summary = ended.stdout.splitlines()
    assert id_ == (
        f"{file}:4: /debugger/diagnostics/probeId: 3; expected: the probe's id, a string that is "
        "not empty (payload 1, diagnostics)"
    )
    assert status.startswith(f'{file}:4: /debugger/diagnostics/status: "OK"; expected: RECEIVED')
    assert summary == "1 payload: 2 findings"


def test_a_line_of_json_lines_is_named_once(tmp_path: Path) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text('{"a": 1}\n{"b": 2}\n')
    *findings, _ = run("lint", file).stdout.splitlines()
    assert {line.partition(": ")[0] for line in findings} == {f"{file}:1", f"{file}:2"}
    assert {line.rpartition(" (")[2] for line in findings} == {"diagnostics)"}


def test_the_findings_as_json(tmp_path: Path) -> None:
    file = tmp_path / "odd, as found.json.gz"
    file.write_bytes(gzip.compress(f"[{{}}, {ODD}]".encode()))
    ended = run("lint", file, "--track", "diagnostics", "--json")
    told = json.loads(ended.stdout)
    assert (ended.exit_code, ended.stderr, told["payloads"]) == (1, "", 2)
    last = told["findings"][-1]
    assert last == {
        "file": str(file),
        "payload": "payload 2",
        "track": "diagnostics",
        "line": 3,
        "pointer": "/debugger/diagnostics/status",
        "given": '"OK"',
        "expected": "RECEIVED, INSTALLED, EMITTING, ERROR or BLOCKED",
    }


def test_an_array_is_looked_into_by_its_elements() -> None:
    ended = run("lint", "-", "--track", "logs", "--json", stdin=b'[[{"a": 1}, 3]]')
    pointers = {finding["pointer"] for finding in json.loads(ended.stdout)["findings"]}
    assert {"/0/ddsource", "/1"} <= pointers


@pytest.mark.parametrize("text", [b'{"a": ', b"hello", b'{"a": 1}\n3\n', b"\x1f\x8bno gzip"])
def test_what_cannot_be_read_is_a_finding(text: bytes) -> None:
    ended = run("lint", "-", stdin=text)
    assert ended.exit_code == 1
    assert "standard input" in ended.stdout
    assert "Traceback" not in ended.output


def test_a_symdb_body_that_is_not_multipart_is_a_finding() -> None:
    ended = run("lint", "-", "--track", "symdb", stdin=b"{}")
    assert ended.exit_code == 1
    assert "--content-type" in ended.stdout


@pytest.mark.parametrize(
    "arguments", [("lint",), ("lint", "/no/such/file"), ("lint", "-", "--track", "metrics")]
)
def test_wrong_use_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments, stdin=b"{}").exit_code == 2


def test_what_a_file_holds_neither_steers_a_terminal_nor_stops_the_json(tmp_path: Path) -> None:
    file = tmp_path / "steering.json"
    for text in ("\ud800", "\x9b31m", "\x7f", "\u202e"):
        file.write_text(json.dumps({"debugger": {"diagnostics": {"probeId": "p", "status": text}}}))
        for options in ((), ("--json",)):
            ended = run("lint", file, *options)
            assert ended.exit_code == 1, ended.exception
            assert ended.stdout.replace("\n", "").isprintable()
