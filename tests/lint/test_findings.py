"""The real samples pass; each odd thing is found, at its place."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from sample_data import SAMPLES, large_snapshot

from livedebug_sender.lint import Finding, findings_in, symdb, symdb_findings

CONTENT_TYPE = "multipart/form-data; boundary=b"


@pytest.mark.parametrize("track", ["diagnostics", "snapshots", "logs"])
def test_the_samples_of_a_real_tracer_have_no_findings(
    samples: dict[str, list[Any]], track: str
) -> None:
    for payload in samples[track]:
        assert findings_in(payload, track) == []
        assert findings_in(payload) == []


def test_the_large_sample_has_no_findings() -> None:
    for payload in json.loads(large_snapshot()):
        assert findings_in(payload, "snapshots") == []


def test_the_symdb_sample_has_no_findings() -> None:
    body = (SAMPLES / "symdb.body").read_bytes()
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    assert symdb_findings(body, content_type) == []


def change(pointer: str, value: Any) -> Callable[[Any], None]:
    *path, last = [int(part) if part.isdigit() else part for part in pointer.split("/")[1:]]

    def apply(payload: Any) -> None:
        for part in path:
            payload = payload[part]
        if value is None:
            del payload[last]
        else:
            payload[last] = value

    return apply


DIAGNOSTICS = "/debugger/diagnostics"
SNAPSHOT = "/debugger/snapshot"
CAPTURED = f"{SNAPSHOT}/captures/odd"


@pytest.mark.parametrize(
    ("track", "pointer", "value", "given", "expected"),
    [
        ("diagnostics", "/ddsource", None, "nothing", "dd_debugger"),
        ("snapshots", "/ddsource", None, "nothing", "dd_debugger"),
        ("diagnostics", f"{DIAGNOSTICS}/status", "OK", '"OK"', "EMITTING"),
        ("diagnostics", f"{DIAGNOSTICS}/status", "received", '"received"', "RECEIVED"),
        ("diagnostics", f"{DIAGNOSTICS}/probeId", 17, "17", "a string"),
        ("diagnostics", f"{DIAGNOSTICS}/runtimeId", None, "nothing", "runtime id"),
        ("logs", f"{SNAPSHOT}/probe/id", 17, "17", "a string"),
        ("logs", f"{SNAPSHOT}/stack/0/lineNumber", "43", '"43"', "an integer"),
        ("logs", f"{SNAPSHOT}/probe/location/lines/0", 43, "43", "as a string"),
        ("logs", f"{SNAPSHOT}/timestamp", "1795431676161", '"1795431676161"', "a number"),
        ("logs", f"{SNAPSHOT}/timestamp", 1795431676, "1795431676", "milliseconds"),
        ("logs", f"{SNAPSHOT}/language", "Python!", '"Python!"', "lower case"),
        ("logs", "/service", "", '""', "not empty"),
    ],
)
def test_an_odd_member_is_found_at_its_place(
    samples: dict[str, list[Any]], track: str, pointer: str, value: Any, given: str, expected: str
) -> None:
    payload = copy.deepcopy(samples[track][0])
    change(pointer, value)(payload)
    (finding,) = findings_in(payload, track)
    assert (finding.pointer, finding.given) == (pointer, given)
    assert expected in finding.expected


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"type": "int"}, ""),
        ({"value": "3"}, "/type"),
        (3, ""),
        ({"type": "int", "value": 3}, "/value"),
        ({"type": "dict", "entries": [[{"type": "int", "value": "1"}]]}, "/entries/0"),
        ({"type": "list", "elements": [{"type": "int"}]}, "/elements/0"),
        ({"type": "A", "fields": {"x/y~z": {"type": "int"}}}, "/fields/x~1y~0z"),
    ],
)
def test_captures_that_no_reader_can_show_are_found(
    samples: dict[str, list[Any]], value: Any, where: str
) -> None:
    payload = copy.deepcopy(samples["snapshots"][0])
    lines = payload["debugger"]["snapshot"]["captures"]["lines"]
    lines["43"]["locals"]["odd"] = value
    (finding,) = findings_in(payload, "snapshots")
    assert finding.pointer == f"{SNAPSHOT}/captures/lines/43/locals/odd{where}"


def test_captures_of_something_that_is_no_line_are_found(samples: dict[str, list[Any]]) -> None:
    payload = copy.deepcopy(samples["snapshots"][0])
    payload["debugger"]["snapshot"]["captures"]["lines"]["here"] = {}
    (finding,) = findings_in(payload, "snapshots")
    assert finding.pointer == f"{SNAPSHOT}/captures/lines/here"


def test_a_payload_of_another_track_is_a_finding(samples: dict[str, list[Any]]) -> None:
    (finding,) = findings_in(samples["snapshots"][0], "logs")
    assert "snapshots" in finding.expected
    (finding,) = findings_in(samples["logs"][0], "snapshots")
    assert "logs" in finding.expected


@pytest.mark.parametrize("payload", [None, 3, "text", [], [{}]])
def test_what_is_no_object_is_a_finding(payload: Any) -> None:
    (finding,) = findings_in(payload, "logs")
    assert finding.pointer == ""


def test_a_payload_with_a_fault_everywhere_gets_a_bounded_list() -> None:
    values = {f"v{n}": n for n in range(1000)}
    captures = {"entry": {"locals": values}}
    payload = {"debugger": {"snapshot": {"captures": captures}}}
    assert len(findings_in(payload)) == 20


@pytest.mark.parametrize("levels", [10, 60, 400])
def test_a_deeply_nested_payload_is_no_error(levels: int) -> None:
    value: Any = {"type": "int", "value": "1"}
    for _ in range(levels):
        value = {"type": "list", "elements": [value]}
    snapshot = {"captures": {"entry": {"locals": {"deep": value}}}}
    assert findings_in({"debugger": {"snapshot": snapshot}})


def test_symdb_has_no_json_findings() -> None:
    with pytest.raises(ValueError, match="symdb_findings"):
        findings_in({}, "symdb")


def upload(**parts: bytes) -> bytes:
    pieces = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in parts.items()
    ]
    return b"".join([*pieces, b"--b--\r\n"])


EVENT = b'{"ddsource":"python","service":"shop","runtimeId":"1"}'
MEMBERS = ("ddsource", "runtimeId", "service")
SYMBOLS = ["/file/language", "/file/scopes"]
SCOPES = gzip.compress(b'{"service":"shop","language":"python","scopes":[]}')


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (upload(event=EVENT, file=SCOPES), []),
        (upload(event=EVENT, file=gzip.decompress(SCOPES)), []),
        (upload(file=SCOPES), ["/event"]),
        (upload(event=EVENT), ["/file"]),
        (
            upload(event=b"{}", file=SCOPES),
            ["/event/ddsource", "/event/runtimeId", "/event/service"],
        ),
        (
            upload(event=EVENT, file=gzip.compress(b'{"service":"s"}')),
            ["/file/language", "/file/scopes"],
        ),
        (upload(event=EVENT, file=SCOPES[:-9]), ["/file"]),
        (upload(event=EVENT, file=b"\x1f\x8bnothing"), ["/file"]),
        (upload(event=EVENT, file=b"no JSON"), ["/file"]),
        (b"{}", [""]),
        (b"", [""]),
    ],
)
def test_an_upload_is_looked_into(body: bytes, pointers: list[str]) -> None:
    assert [finding.pointer for finding in symdb_findings(body, CONTENT_TYPE)] == pointers


def test_what_is_wrong_with_the_gzip_of_an_upload_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symdb, "MAX_UNPACKED", 20)
    (finding,) = symdb_findings(upload(event=b"{}", file=SCOPES), CONTENT_TYPE)[3:]
    assert str(finding) == (
        "/file: gzip that grows to more than 20 bytes; expected: whole gzipped JSON"
    )


def test_an_upload_without_a_boundary_is_a_finding() -> None:
    (finding,) = symdb_findings(upload(event=EVENT), "application/json")
    assert "boundary" in finding.expected


def test_a_finding_reads_as_one_line() -> None:
    assert str(Finding("/a", "3", "a string")) == "/a: 3; expected: a string"
