from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any, NamedTuple

import pytest
from sample_data import SAMPLES

from livedebug_sender import Endpoint, Track
from livedebug_sender.intake.multipart import MAX_UNPACKED, Unpacker, parts_of
from livedebug_sender.intake.reading import MAX_PAYLOADS, Payload, Reading, payloads_of, read
from livedebug_sender.intake.summary import summarize
from livedebug_sender.protocol.payload import Upload
from livedebug_sender.protocol.request import build_request
from livedebug_sender.protocol.tracks import ROUTES

JSON = {"content-type": "application/json"}
V2 = "/debugger/v2/input"
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="event"\r\n\r\n'


def as_sent(track: Track, payload: bytes, *, key: str | None = None, tags: str = "") -> Request:
    """The request that this library makes."""
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    item = Upload(payload, content_type) if track is Track.SYMDB else payload
    route = ROUTES[track]
    path = route.intake_path if key else route.agent_path
    request = build_request(Endpoint("http://a", key), path, track, [item], tags, {})
    headers = {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    path, _, query = request.path.partition("?")
    body = request.body if isinstance(request.body, bytes) else b"".join(request.body)
    return Request(path, query, headers, body)


class Request(NamedTuple):
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def reading(self) -> Reading:
        return read(*self)

    @property
    def payloads(self) -> list[Payload]:
        return list(payloads_of(self.path, self.headers, self.body))


def tracks_of(reading: Reading) -> set[str]:
    return {str(summary.track) for summary in reading.summaries}


@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("track", ["diagnostics", "snapshots", "logs"])
def test_each_track_is_read_back_as_it_was_sent(
    track: str, key: str | None, samples: dict[str, list[Any]]
) -> None:
    payload = json.dumps(samples[track][:3]).encode()
    sent = as_sent(Track(track), payload, key=key, tags="env:é,a:b c")
    reading = sent.reading
    assert reading.problem == ""
    assert tracks_of(reading) == {track}
    assert [payload.value for payload in sent.payloads] == samples[track][:3]
    assert reading.mode == ("agentless" if key else "agent")
    assert reading.tags == "env:é,a:b c"


@pytest.mark.parametrize("key", [None, "key"])
def test_a_symdb_upload_is_opened_with_its_gzip(key: str | None) -> None:
    body = (SAMPLES / "symdb.body").read_bytes()
    sent = as_sent(Track.SYMDB, body, key=key, tags="env:é")
    (payload,) = sent.payloads
    assert (payload.summary.kind, payload.summary.service) == ("symdb", "shop")
    assert payload.value["event"]["uploadId"].startswith("818f3c7d")
    assert payload.value["symbols"]["scopes"][0]["name"] == "shop"
    assert sent.reading.tags == "env:é"


def test_a_summary_says_kind_probe_status_place_and_service(samples: dict[str, list[Any]]) -> None:
    tracks = (Track.DIAGNOSTICS, Track.SNAPSHOTS, Track.LOGS)
    found = [summarize(samples[track][0], track) for track in tracks]
    assert [s.kind for s in found] == ["status", "snapshot", "log"]
    assert [s.probe for s in found] == ["checkout-total", "checkout-total", "reserve-item"]
    assert [s.file for s in found] == ["", "/app/shop.py", "/app/shop.py"]
    assert [s.line for s in found] == ["", "43", "30"]
    assert [s.function for s in found] == ["", "checkout", "reserve"]
    assert found[0].status == "RECEIVED"
    assert {s.service for s in found} == {"shop"}


def test_a_summary_says_what_was_thrown_and_why_a_probe_is_in_error(
    samples: dict[str, list[Any]],
) -> None:
    thrown = {summarize(one, Track.SNAPSHOTS).exception for one in samples["snapshots"]}
    assert any(text.startswith("RuntimeError: ") for text in thrown)
    reasons = {summarize(one, Track.DIAGNOSTICS).exception for one in samples["diagnostics"]}
    assert "NoSourceFile: Source file location cannot be resolved" in reasons


@pytest.mark.parametrize("text", ["1e999", "-1e999", "9" * 400, "1e30", '"now"', "null", "true"])
def test_a_timestamp_that_no_clock_can_show_is_none(text: str) -> None:
    (summary,) = read(V2, "", JSON, b'[{"timestamp": %s}]' % text.encode()).summaries
    assert summary.timestamp is None


def test_after_a_downgrade_plain_json_on_the_diagnostics_route_is_still_snapshots(
    samples: dict[str, list[Any]],
) -> None:
    body = json.dumps(samples["snapshots"]).encode()
    assert tracks_of(read("/debugger/v1/diagnostics", "", JSON, body)) == {"snapshots"}


def test_a_request_may_hold_several_tracks(samples: dict[str, list[Any]]) -> None:
    body = json.dumps([samples["snapshots"][0], samples["logs"][0]]).encode()
    assert tracks_of(read(V2, "", JSON, body)) == {"snapshots", "logs"}


@pytest.mark.parametrize(
    ("path", "headers", "track"),
    [
        (V2, JSON, "logs"),
        ("/debugger/v1/input", JSON, "logs"),
        ("/api/v2/debugger", JSON, "logs"),
        ("/api/v2/logs", JSON, "logs"),
        ("/debugger/v1/diagnostics", JSON, "diagnostics"),
        ("/symdb/v1/input", JSON, "symdb"),
        ("/api/v2/debugger", {**JSON, "dd-evp-origin": "agent-symdb"}, "symdb"),
    ],
)
def test_a_payload_without_any_shape_counts_to_the_track_of_its_route(
    path: str, headers: dict[str, str], track: str
) -> None:
    assert tracks_of(read(path, "", headers, b'{"n": 1}')) == {track}


def test_what_came_as_multipart_is_diagnostics_whatever_its_shape(
    samples: dict[str, list[Any]],
) -> None:
    body = PART + json.dumps(samples["logs"]).encode() + b"\r\n--b--\r\n"
    assert tracks_of(read("/api/v2/debugger", "", MULTIPART, body)) == {"diagnostics"}


def test_each_payload_keeps_the_text_it_came_as() -> None:
    texts = ['{"n": 1234567890123456789, "x":1.10}', "{ }", '{"b":1,"a":1e999,"é":"\\u00e9"}']
    body = ("[\n" + " ,\t".join(texts) + " ]\n").encode()
    payloads = list(payloads_of(V2, JSON, body))
    assert [payload.texts for payload in payloads] == [(("", text),) for text in texts]
    assert [payload.summary.size for payload in payloads] == [len(t.encode()) for t in texts]


def test_a_gzipped_body_is_opened(samples: dict[str, list[Any]]) -> None:
    body = gzip.compress(json.dumps(samples["logs"]).encode())
    assert len(read(V2, "", JSON, body).summaries) == len(samples["logs"])


@pytest.mark.parametrize("value", [1, "text", None, [1], {"debugger": 3}, {"debugger": {}}])
def test_whatever_json_it_is_there_is_a_summary(value: Any) -> None:
    assert summarize(value, Track.LOGS).kind == "other"


def test_a_hostile_payload_gives_a_short_summary_of_text() -> None:
    summary = summarize(
        {"service": {"a": 1}, "message": "x" * 10_000, "timestamp": "now"}, Track.LOGS
    )
    assert summary.service == '{"a": 1}'
    assert len(summary.message) == 300
    assert summary.timestamp is None


@pytest.mark.parametrize(
    ("headers", "body", "problem"),
    [
        (JSON, b"", "not JSON"),
        (JSON, b'[{"a": 1}', "not JSON"),
        (JSON, b"[1,]", "not JSON"),
        (JSON, b"[1 2]", "expected ',' or ']'"),
        (JSON, b"[1] 2", "more text"),
        (JSON, b"{} x", "more text"),
        (JSON, b'[{"a": NaN}]', "NaN"),
        (JSON, b"[" + b"[]," * 1_000_000 + b"[]]", "values"),
        (JSON, b"[" + b"1," * (MAX_PAYLOADS + 5) + b"1]", "payloads in one request"),
        (JSON, b'"\xff"', "not UTF-8"),
        (JSON, b"[" * 301 + b"]" * 301, "nested deeper than 200"),
        (JSON, b"[" * 200_000, "nested"),
        (JSON, b"\x1f\x8bxxxxxxxxxxxxxxx", "gzip that can't be opened"),
        (JSON, gzip.compress(b"[1]" * 1000, mtime=0)[:-12], "gzip that is cut off"),
        ({"content-type": "multipart/form-data"}, b"x", "without a boundary"),
        (MULTIPART, b"x", "multipart"),
        (MULTIPART, PART + b"[1\r\n--b--\r\n", "the part 'event' is not JSON"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(
    headers: dict[str, str], body: bytes, problem: str
) -> None:
    reading = read("/debugger/v1/diagnostics", "", headers, body)
    assert problem in reading.problem
    assert reading.summaries == ()


def test_all_gzip_of_a_request_has_one_budget() -> None:
    unpacker = Unpacker(1000)
    assert unpacker.unpack(gzip.compress(b"x" * 600)) == b"x" * 600
    assert unpacker.unpack(b"plain") == b"plain"
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        unpacker.unpack(gzip.compress(b"x" * 401))
    assert unpacker.unpack(gzip.compress(b"x" * 400)) == b"x" * 400


def test_gzip_within_gzip_a_thousand_times_does_not_grow_without_end() -> None:
    bomb = gzip.compress(b"[" + b" " * (20 * 1024 * 1024) + b"]")
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + bomb + b"\r\n"
    body = gzip.compress(part * 60 + b"--b--\r\n")
    tracemalloc.start()
    try:
        reading = read("/symdb/v1/input", "", MULTIPART, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "gzip that grows" in reading.problem
    assert peak < 4 * MAX_UNPACKED


def test_a_part_keeps_every_byte() -> None:
    content = bytes(range(256)) + b"\r\n--c\r\n\r"
    disposition = b'Content-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = b"--b\r\n" + disposition + content + b"\r\n--b--\r\n"
    (part,) = parts_of("multipart/form-data; boundary=b", body, Unpacker())
    assert part.content == content


def test_a_symdb_upload_that_is_no_multipart_is_shown_as_it_is() -> None:
    (payload,) = payloads_of("/symdb/v1/input", JSON, b'{"service": "shop"}')
    assert payload.summary.service == "shop"
    assert payload.value == {"event": {"service": "shop"}, "symbols": None}
