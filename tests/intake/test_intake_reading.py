from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from sample_data import SAMPLES

from livedebug_sender import Endpoint, Track
from livedebug_sender.intake.multipart import parts_of, unpacked
from livedebug_sender.intake.reading import Reading, glance_at, read
from livedebug_sender.protocol.payload import Upload
from livedebug_sender.protocol.request import build_request
from livedebug_sender.protocol.tracks import ROUTES

JSON = {"content-type": "application/json"}
V2 = "/debugger/v2/input"


def as_sent(track: Track, payload: bytes, *, key: str | None = None, tags: str = "") -> Reading:
    """What is read of the request that this library makes."""
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
    return read(path, query, headers, body)


@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("track", ["diagnostics", "snapshots", "logs"])
def test_each_track_is_read_back_as_it_was_sent(
    track: str, key: str | None, samples: dict[str, list[Any]]
) -> None:
    payload = json.dumps(samples[track][:3]).encode()
    reading = as_sent(Track(track), payload, key=key, tags="env:é,a:b c")
    assert reading.problem == ""
    assert reading.tracks == (track,)
    assert [payload.value for payload in reading.payloads] == samples[track][:3]
    assert reading.mode == ("agentless" if key else "agent")
    assert reading.tags == "env:é,a:b c"


@pytest.mark.parametrize("key", [None, "key"])
def test_a_symdb_upload_is_opened_with_its_gzip(key: str | None) -> None:
    body = (SAMPLES / "symdb.body").read_bytes()
    reading = as_sent(Track.SYMDB, body, key=key, tags="env:é")
    (payload,) = reading.payloads
    assert (payload.glance.kind, payload.glance.service) == ("symdb", "shop")
    assert payload.value["event"]["uploadId"].startswith("818f3c7d")
    assert payload.value["symbols"]["scopes"][0]["name"] == "shop"
    assert reading.tags == "env:é"


def test_a_glance_says_kind_probe_status_and_service(samples: dict[str, list[Any]]) -> None:
    glances = [glance_at(samples[track][0]) for track in ("diagnostics", "snapshots", "logs")]
    assert [g.kind for g in glances] == ["status", "snapshot", "log"]
    assert [g.probe for g in glances] == ["checkout-total", "checkout-total", "reserve-item"]
    assert glances[0].status == "RECEIVED"
    assert {g.service for g in glances} == {"shop"}


def test_after_a_downgrade_plain_json_on_the_diagnostics_route_is_still_snapshots(
    samples: dict[str, list[Any]],
) -> None:
    body = json.dumps(samples["snapshots"]).encode()
    assert read("/debugger/v1/diagnostics", "", JSON, body).tracks == ("snapshots",)


def test_a_request_may_hold_several_tracks(samples: dict[str, list[Any]]) -> None:
    body = json.dumps([samples["snapshots"][0], samples["logs"][0]]).encode()
    assert read(V2, "", JSON, body).tracks == ("snapshots", "logs")


def test_a_gzipped_body_is_opened(samples: dict[str, list[Any]]) -> None:
    body = gzip.compress(json.dumps(samples["logs"]).encode())
    assert len(read(V2, "", JSON, body).payloads) == len(samples["logs"])


@pytest.mark.parametrize("value", [1, "text", None, [1], {"debugger": 3}, {"debugger": {}}])
def test_whatever_json_it_is_there_is_a_glance(value: Any) -> None:
    assert glance_at(value).kind == "other"


def test_a_hostile_payload_gives_a_short_glance_of_text() -> None:
    glance = glance_at({"service": {"a": 1}, "message": "x" * 10_000, "timestamp": "now"})
    assert glance.service == '{"a": 1}'
    assert len(glance.message) == 300
    assert glance.timestamp is None


MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="event"\r\n\r\n'


@pytest.mark.parametrize(
    ("headers", "body", "problem"),
    [
        (JSON, b"", "no JSON"),
        (JSON, b'[{"a": 1}', "no JSON"),
        (JSON, b'{"a": NaN}', "NaN"),
        (JSON, b'"\xff"', "no UTF-8"),
        (JSON, b"[" * 300 + b"]" * 300, "nested deeper than 200"),
        (JSON, b"[" * 200_000, "nested"),
        (JSON, b"\x1f\x8bxxxxxxxxxxxxxxx", "gzip that can't be opened"),
        (JSON, gzip.compress(b"[1]" * 1000, mtime=0)[:-12], "gzip that is cut off"),
        ({"content-type": "multipart/form-data"}, b"x", "without a boundary"),
        (MULTIPART, b"x", "multipart"),
        (MULTIPART, PART + b"[1\r\n--b--\r\n", "the part 'event' is no JSON"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(
    headers: dict[str, str], body: bytes, problem: str
) -> None:
    reading = read("/debugger/v1/diagnostics", "", headers, body)
    assert problem in reading.problem
    assert reading.payloads == ()


def test_gzip_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livedebug_sender.intake.multipart.MOST_UNPACKED", 1000)
    assert unpacked(gzip.compress(b"x" * 1000)) == b"x" * 1000
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        unpacked(gzip.compress(b"x" * 1001))


def test_a_part_keeps_every_byte() -> None:
    content = bytes(range(256)) + b"\r\n--c\r\n\r"
    disposition = b'Content-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = b"--b\r\n" + disposition + content + b"\r\n--b--\r\n"
    (part,) = parts_of("multipart/form-data; boundary=b", body)
    assert part.content == content


def test_a_symdb_upload_that_is_no_multipart_is_shown_as_it_is() -> None:
    reading = read("/symdb/v1/input", "", JSON, b'{"service": "shop"}')
    (payload,) = reading.payloads
    assert payload.glance.service == "shop"
    assert payload.value == {"event": {"service": "shop"}, "symbols": None}
