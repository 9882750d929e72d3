"""The same payloads through the reference and through this library, to one server.

The reference is libdatadog's debugger sender as `ddtrace` 4.16 binds it. Whatever the
two put on the wire has to be equal, but for the differences in the table.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

pytest.importorskip("ddtrace")

from ddtrace.internal.native import DebuggerSender, DebuggerTrackType, SymDBSender
from ddtrace.internal.native_runtime import get_native_runtime
from recorder import Recorded, Recorder, recording_server
from sample_data import SAMPLES

from livedebug_sender import (
    Endpoint,
    PayloadRejected,
    PayloadSender,
    Sender,
    SenderConfig,
    Track,
    __version__,
    send,
    send_symdb,
)

pytestmark = pytest.mark.interop

# -- What differs, and is meant to -------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """What one thing is there (native) and here (ours); None: it is absent."""

    native: str | None
    ours: str | None
    why: str
    #: Of which requests it is true.
    when: Callable[[Case], bool]


def _always(case: Case) -> bool:
    return True


def _debugger(case: Case) -> bool:
    return case.track is not Track.SYMDB


DIFFERENCES = {
    "header user-agent": Difference(
        "Tracer/0.0.1", f"livedebug-sender/{__version__}", "each says what it is", _always
    ),
    "header transfer-encoding": Difference(
        "chunked", None, "the contract: always with Content-Length", _debugger
    ),
    "header content-length": Difference(
        None, "the body's", "the contract: always with Content-Length", _debugger
    ),
    "header accept-encoding": Difference(
        None,
        "identity",
        "http.client says so; it is what an absent header comes to here",
        _always,
    ),
    "header host": Difference(
        "the socket's path in hex",
        "localhost",
        "no agent looks at it: the socket has said which agent is meant",
        lambda case: case.mode == "agent socket",
    ),
    "query": Difference(
        "ddtags=",
        None,
        "the contract: no tags, no query",
        lambda case: _debugger(case) and not case.tags,
    ),
    "header x-datadog-additional-tags": Difference(
        "",
        None,
        "no tags, no header: as with the query",
        lambda case: case.track is Track.SYMDB and not case.tags,
    ),
}
# Further on, each with a test of its own: payloads that the reference breaks, tags over
# the Agent's limit, a redirect taken for a success.

# -- What is sent ------------------------------------------------------------------

API_KEY = "0123456789abcdef0123456789abcdef"
TEST_TOKEN = "a-test-session"
IDENTITY = ("datadog-container-id", "datadog-entity-id", "datadog-external-env")

MODES = ("agent", "agentless", "agent socket")

TAGS = {
    "none": "",
    "plain": "env:prod,version:1.2.3,runtime_id:0a-1b_2c",
    "space": "team:a b,c d:e",
    "ampersand": "a:b&c=d",
    "hash": "a:b#c",
    "percent": "a:100%,b:%41",
    "plus": "a:1+1",
    "non-ASCII": "stadt:Zürich,都市:東京,mood:🙂",
    "empty value": "a:,b:,:c",
    "unreserved": "a:-_.~/",
    "the rest of ASCII": "".join(chr(code) for code in range(0x21, 0x7F)),
}

PAYLOADS = {
    "one": b'[{"message": "received", "debugger": {"diagnostics": {"probeId": "p"}}}]',
    "several": json.dumps(
        [{"n": n, "text": 'a "b"\n', "place": "Zürich"} for n in range(9)]
    ).encode(),
    "UTF-8 as it is": '[{"place":"東京","mood":"🙂"}]'.encode(),
    "white space inside": b'[{"a" : [ 1 , 2 ]} , {"b":\n"]"}]',
    "none": b"[]",
    "large": b'[{"captures":"' + b"x" * 900_000 + b'"},{"a":1}]',
}

SYMDB_BODIES = {
    "multipart": b"--b\r\nContent-Type: application/gzip\r\n\r\n\x1f\x8b\x08\x00\xff\r\n--b--\r\n",
    "every byte": bytes(range(256)),
    "large": b"\x00\xff" * 450_000,
}
CONTENT_TYPE = 'multipart/form-data; boundary="===============2010921862130815950=="'


NATIVE_TRACKS = {
    Track.DIAGNOSTICS: DebuggerTrackType.Diagnostics,
    Track.SNAPSHOTS: DebuggerTrackType.Snapshots,
    Track.LOGS: DebuggerTrackType.Logs,
}


@dataclass(frozen=True)
class Case:
    """One payload on its way to a server."""

    server: Recorder
    mode: str
    track: Track
    tags: str
    payload: bytes
    downgraded: bool = False

    @property
    def url(self) -> str:
        """With a path and a query, which the track's path has to replace."""
        return self.server.url + ("" if self.mode == "agent socket" else "/base/?query=1")

    @property
    def api_key(self) -> str | None:
        return API_KEY if self.mode == "agentless" else None


def native_sender(case: Case) -> Any:
    kind = SymDBSender if case.track is Track.SYMDB else DebuggerSender
    return kind(
        get_native_runtime(),
        url=case.url,
        api_key=case.api_key,
        tags=case.tags,
        timeout_ms=5000,
        test_session_token=TEST_TOKEN,
    )


def send_native(case: Case) -> Any:
    sender = native_sender(case)
    if case.track is Track.SYMDB:
        return sender.send(case.payload, CONTENT_TYPE)
    if case.downgraded:
        assert sender.downgrade_to_diagnostics() is True
    return sender.send(case.payload, NATIVE_TRACKS[case.track])


def config_of(case: Case) -> SenderConfig:
    endpoint = Endpoint(case.url, api_key=case.api_key, timeout=5.0, test_token=TEST_TOKEN)
    config = SenderConfig()
    config.set_endpoint(endpoint)
    config.set_symdb_endpoint(endpoint)
    if case.downgraded:
        assert config.downgrade_to_diagnostics_endpoint() is True
    return config


def send_ours(case: Case) -> None:
    if case.track is Track.SYMDB:
        send_symdb(case.payload, CONTENT_TYPE, config_of(case), case.tags)
    else:
        send(case.payload, config_of(case), case.track, case.tags)


def send_by_payload_sender(case: Case) -> None:
    endpoint = config_of(case).endpoints_for(case.track)[0]
    sender = PayloadSender(endpoint, case.track, case.tags)
    sender.append(case.payload)
    assert sender.finish() == 1


def send_by_sender(case: Case) -> None:
    content_type = CONTENT_TYPE if case.track is Track.SYMDB else None
    with Sender(config_of(case), tags=case.tags, linger=0.001) as sender:
        assert sender.enqueue(case.track, case.payload, content_type=content_type)
        assert sender.flush(5)


WAYS = {"send": send_ours, "PayloadSender": send_by_payload_sender, "Sender": send_by_sender}
SYMDB_WAYS = ("send", "Sender")  # a PayloadSender takes none


# -- What is compared --------------------------------------------------------------


def facts(request: Recorded, case: Case) -> dict[str, str | bytes | None]:
    """Everything that a request says, each thing under its name."""
    found: dict[str, str | bytes | None] = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "body": request.body,
    }
    length = str(len(request.body)).encode()
    for name, value in request.headers.items():
        found[f"header {name}"] = value
        if name == "content-length" and _debugger(case) and value == length:
            found[f"header {name}"] = b"the body's"
    if case.mode == "agent socket":
        path = case.server.url.removeprefix("unix://").encode().hex()
        if request.headers["host"].startswith(path.encode()):
            found["header host"] = b"the socket's path in hex"
    return found


def text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def assert_equal_but_for_the_differences(native: Recorded, ours: Recorded, case: Case) -> None:
    theirs, here = facts(native, case), facts(ours, case)
    meant = {name: row for name, row in DIFFERENCES.items() if row.when(case)}
    for name, row in meant.items():
        assert (text(theirs.pop(name, None)), text(here.pop(name, None))) == (
            row.native,
            row.ours,
        ), name
    assert here == theirs


def compare(case: Case, way: str) -> None:
    send_native(case)
    native = case.server.next()
    WAYS[way](case)
    ours = case.server.next()
    assert case.server.is_empty()
    assert_equal_but_for_the_differences(native, ours, case)


@contextmanager
def server_for(mode: str, directory: Path) -> Iterator[Recorder]:
    with recording_server(directory / "apm.socket" if mode == "agent socket" else None) as server:
        yield server


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(mode: str, tmp_path: Path) -> Iterator[Recorder]:
    with server_for(mode, tmp_path) as recorder:
        yield recorder


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize(
    ("track", "way"),
    [
        pytest.param(track, way, id=f"{track}-{way}")
        for track in Track
        for way in (SYMDB_WAYS if track is Track.SYMDB else WAYS)
    ],
)
def test_every_track_travels_as_the_reference_sends_it_whatever_its_tags(
    server: Recorder, mode: str, track: Track, tags: str, way: str
) -> None:
    payload = SYMDB_BODIES["multipart"] if track is Track.SYMDB else PAYLOADS["one"]
    compare(Case(server, mode, track, TAGS[tags], payload), way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("track", NATIVE_TRACKS, ids=str)
def test_a_json_payload_makes_the_body_that_the_reference_makes(
    server: Recorder, mode: str, track: Track, name: str, way: str
) -> None:
    compare(Case(server, mode, track, TAGS["plain"], PAYLOADS[name]), way)


@pytest.mark.parametrize("way", SYMDB_WAYS)
@pytest.mark.parametrize("name", SYMDB_BODIES)
def test_a_symdb_body_is_forwarded_as_the_reference_forwards_it(
    server: Recorder, mode: str, name: str, way: str
) -> None:
    compare(Case(server, mode, Track.SYMDB, TAGS["plain"], SYMDB_BODIES[name]), way)


@pytest.mark.parametrize("way", SYMDB_WAYS)
@pytest.mark.parametrize(
    ("track", "name"),
    [
        (Track.DIAGNOSTICS, "diagnostics.json"),
        (Track.SNAPSHOTS, "snapshots.json"),
        (Track.SNAPSHOTS, "large_snapshot.json.gz"),
        (Track.LOGS, "logs.json"),
        (Track.SYMDB, "symdb.body"),
    ],
)
def test_the_samples_travel_as_the_reference_sends_them(
    server: Recorder, mode: str, track: Track, name: str, way: str
) -> None:
    payload = (SAMPLES / name).read_bytes()
    if name.endswith(".gz"):
        payload = gzip.decompress(payload)
    if track is not Track.SYMDB:
        payload = payload.rstrip()  # the reference would take the last newline for a bracket
    compare(Case(server, mode, track, TAGS["plain"], payload), way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("track", NATIVE_TRACKS, ids=str)
def test_a_downgraded_track_travels_as_the_reference_sends_it(
    tmp_path: Path, track: Track, way: str
) -> None:
    with recording_server() as server:
        compare(Case(server, "agent", track, "a:b", PAYLOADS["one"], downgraded=True), way)


def test_the_identity_is_the_references() -> None:
    """In processes of their own, since the reference reads the variable when it is loaded."""
    environ = {
        **os.environ,
        "DD_EXTERNAL_ENV": "it-false,cn-shop,pu-75a2b6d5",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with recording_server() as server:
        found = []
        for way in ("send_native", "send_ours"):
            program = (
                "import sys; from test_conformance import *\n"
                f"{way}(Case(Recorder(sys.argv[1]), 'agent', Track.LOGS, '', b'[1]'))"
            )
            subprocess.run(
                [sys.executable, "-c", program, server.url],
                cwd=Path(__file__).parent,
                env=environ,
                check=True,
                timeout=60,
            )
            headers = server.next().headers.items()
            found.append({name: value for name, value in headers if name in IDENTITY})
    native, ours = found
    assert native == ours
    assert native["datadog-external-env"] == b"it-false,cn-shop,pu-75a2b6d5"


# -- What an answer means ----------------------------------------------------------


@pytest.mark.parametrize("track", [Track.LOGS, Track.SYMDB], ids=str)
@pytest.mark.parametrize("status", [200, 202, 400, 403, 404, 413, 429, 500, 503])
def test_an_answer_is_a_rejection_where_it_is_one_to_the_reference(
    track: Track, status: int
) -> None:
    with recording_server() as server:
        server.status, server.answer = status, "nein, weil ü".encode()
        case = Case(server, "agent", track, "", PAYLOADS["one"])
        native = send_native(case)
        assert native.accepted is (status < 300)
        if native.accepted:
            send_ours(case)
            return
        with pytest.raises(PayloadRejected) as caught:
            send_ours(case)
    assert (caught.value.status, caught.value.body) == (native.status, native.body)


# -- Differences that need a test of their own -------------------------------------


def test_a_redirect_is_a_success_to_the_reference_and_a_rejection_here() -> None:
    """Nothing was stored there; and the key must not follow to another host."""
    with recording_server() as server:
        server.status = 302
        case = Case(server, "agentless", Track.LOGS, "", PAYLOADS["one"])
        assert send_native(case).accepted is True
        with pytest.raises(PayloadRejected):
            send_ours(case)


@pytest.mark.parametrize(
    ("payload", "native_body"),
    [(b'{"a":1}', b'{"a":1]'), (b' [{"a":1}]\n', b' [{"a":1}]]')],
    ids=["an object", "white space around"],
)
def test_what_the_reference_breaks_is_sent_whole_here(payload: bytes, native_body: bytes) -> None:
    """It takes the first and last bytes for brackets; the contract takes an object too."""
    with recording_server() as server:
        case = Case(server, "agent", Track.LOGS, "", payload)
        send_native(case)
        assert server.next().body == native_body
        send_ours(case)
        assert server.next().body == b'[{"a":1}]'


@pytest.mark.parametrize("way", SYMDB_WAYS)
@pytest.mark.parametrize("track", [Track.LOGS, Track.SYMDB], ids=str)
def test_tags_beyond_the_agents_limit_are_cut_here_and_not_by_the_reference(
    track: Track, way: str
) -> None:
    """The Agent would cut in the middle of a tag; here the last whole one is the end."""
    tags = ",".join(["tag:" + "x" * 95] * 50)  # 4,999 characters
    fitting = ",".join(["tag:" + "x" * 95] * 40)  # 3,999
    with recording_server() as server:
        case = Case(server, "agent", track, tags, PAYLOADS["one"])
        send_native(case)
        assert _tags_of(server.next()) == tags
        WAYS[way](case)
        assert _tags_of(server.next()) == fitting


def _tags_of(request: Recorded) -> str:
    in_header = request.headers.get("x-datadog-additional-tags", b"").decode()
    return in_header or unquote((request.query or "").removeprefix("ddtags="))
