"""The real tracer, ddtrace 4.16, with the forwarder as its agent; and this library so."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

pytest.importorskip("ddtrace")

from running_forwarder import Running, running
from sample_data import KEY
from servers import Arrived, RecordingServer

from livedebug_sender import Endpoint, Sender, SenderConfig, Track, __version__

pytestmark = pytest.mark.interop

HOST_TAGS = f"host:h,default_env:e,agent_version:{__version__}"
MODES = ("pass-through", "store-and-forward")

SHOP = """\
def total(prices, discount):
    whole = sum(prices)
    answer = whole - discount
    return answer


class Basket:
    def count(self, items):
        return len(items)
"""
PROGRAM = """\
import select, sys
import shop

while not select.select([sys.stdin], [], [], 0.1)[0]:  # until the test lets go
    shop.total([3, 4], 2)
    shop.Basket().count(["pear"])
"""
LOG = {
    "id": "a-log",
    "version": 1,
    "type": "LOG_PROBE",
    "where": {"sourceFile": "shop.py", "lines": ["3"]},
    "template": "whole is {whole}",
    "segments": [{"str": "whole is "}, {"dsl": "whole", "json": {"ref": "whole"}}],
    "captureSnapshot": False,
    "tags": [],
}
SNAPSHOT = {
    "id": "a-snapshot",
    "version": 1,
    "type": "LOG_PROBE",
    "where": {"typeName": "shop", "methodName": "Basket.count"},
    "template": "counted",
    "segments": [{"str": "counted"}],
    "captureSnapshot": True,
    "tags": [],
}


@contextmanager
def traced_program(agent: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A small program under ddtrace-run, its probes from a file."""
    (directory / "shop.py").write_text(SHOP)
    (directory / "main.py").write_text(PROGRAM)
    (directory / "probes.json").write_text(json.dumps([LOG, SNAPSHOT]))
    variables = {
        "DD_TRACE_AGENT_URL": agent,
        "DD_SERVICE": "shop",
        "DD_ENV": "prod",
        "DD_VERSION": "1.2",
        "DD_DYNAMIC_INSTRUMENTATION_ENABLED": "true",
        "DD_DYNAMIC_INSTRUMENTATION_PROBE_FILE": str(directory / "probes.json"),
        "DD_DYNAMIC_INSTRUMENTATION_UPLOAD_INTERVAL_SECONDS": "0.2",
        "DD_SYMBOL_DATABASE_UPLOAD_ENABLED": "true",
        "_DD_SYMBOL_DATABASE_FORCE_UPLOAD": "true",  # no remote configuration here
        "DD_SYMBOL_DATABASE_INCLUDES": "shop",
        # The forwarder has no route for traces.
        "DD_TRACE_ENABLED": "false",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "PYTHONPATH": "",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DD_")}
    program = subprocess.Popen(
        [Path(sys.executable).parent / "ddtrace-run", sys.executable, "main.py"],
        cwd=directory,
        env={**kept, **variables},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield program
        output = program.communicate(timeout=60)[1]
        assert program.returncode == 0, output.decode()
        assert b"Traceback" not in output, output.decode()
    finally:
        program.kill()
        program.communicate()


def json_of(arrived: Arrived) -> list[Any]:
    """The elements of a JSON body, or of the JSON part of a form."""
    content_type = arrived.headers["content-type"]
    if not content_type.startswith("multipart/"):
        return list(json.loads(arrived.body))
    return list(json.loads(parts_of(arrived)["event"]))


def parts_of(arrived: Arrived) -> dict[str, bytes]:
    head = f"Content-Type: {arrived.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + arrived.body).get_payload()
    assert isinstance(parts, list)
    found = {}
    for part in parts:
        name = part.get_param("name", header="content-disposition")
        body = part.get_payload(decode=True)
        assert isinstance(body, bytes)
        found[str(name)] = body
    return found


def is_symdb(arrived: Arrived) -> bool:
    return arrived.headers["dd-evp-origin"] == "agent-symdb"


def is_debugger(arrived: Arrived) -> bool:
    return arrived.headers["dd-evp-origin"] == "agent-debugger"


def some(requests: list[Arrived], wanted: Callable[[dict[str, Any]], Any]) -> list[Arrived]:
    return [one for one in requests if is_debugger(one) and any(map(wanted, json_of(one)))]


def status_of(element: dict[str, Any]) -> tuple[str, str] | None:
    diagnostics = element.get("debugger", {}).get("diagnostics")
    return diagnostics and (diagnostics["probeId"], diagnostics["status"])


def snapshot_of(element: dict[str, Any]) -> dict[str, Any]:
    return dict(element.get("debugger", {}).get("snapshot") or {})


def is_log(element: dict[str, Any]) -> bool:
    return snapshot_of(element).get("probe", {}).get("id") == "a-log"


def is_snapshot(element: dict[str, Any]) -> bool:
    return snapshot_of(element).get("probe", {}).get("id") == "a-snapshot"


def all_arrived(requests: list[Arrived]) -> bool:
    return all(
        (
            some(requests, lambda element: status_of(element) == ("a-log", "EMITTING")),
            some(requests, lambda element: status_of(element) == ("a-snapshot", "EMITTING")),
            some(requests, is_log),
            some(requests, is_snapshot),
            any(map(is_symdb, requests)),
        )
    )


@pytest.mark.parametrize("mode", MODES)
def test_all_that_ddtrace_sends_reaches_the_intake(mode: str, tmp_path: Path) -> None:
    with RecordingServer() as intake, running(intake.url, mode=mode) as forwarder:
        with traced_program(forwarder.url, tmp_path):
            intake.wait_for(all_arrived)
        page = forwarder.get("/metrics").body.decode()
    requests = intake.requests
    for arrived in requests:
        assert (arrived.method, arrived.path) == ("POST", "/api/v2/debugger")
        assert arrived.headers["dd-api-key"] == KEY
        assert uuid.UUID(arrived.headers["dd-request-id"]).version == 4
        assert arrived.headers["content-length"] == str(len(arrived.body))
        assert "transfer-encoding" not in arrived.headers
    assert len({arrived.headers["dd-request-id"] for arrived in requests}) == len(requests)
    check_debugger(requests)
    check_symbols([arrived for arrived in requests if is_symdb(arrived)])
    assert 'status="4' not in page
    assert 'status="5' not in page


def check_debugger(requests: list[Arrived]) -> None:
    for arrived in filter(is_debugger, requests):
        ((tags,),) = [parse_qs(arrived.query)["ddtags"]]
        assert tags.startswith(f"{HOST_TAGS},")
        assert {"env:prod", "version:1.2"} <= set(tags.split(","))
    (element, *_) = [one for r in some(requests, is_log) for one in json_of(r) if is_log(one)]
    assert element["message"] == "whole is 7"
    assert element["service"] == "shop"
    arrived = some(requests, is_snapshot)[0]
    assert arrived.headers["content-type"] == "application/json"
    (element, *_) = filter(is_snapshot, json_of(arrived))
    assert "captures" in snapshot_of(element)
    statuses = some(requests, lambda element: status_of(element) == ("a-log", "EMITTING"))
    assert statuses[0].headers["content-type"].startswith("multipart/form-data; boundary=")


def check_symbols(requests: list[Arrived]) -> None:
    scopes = []
    for arrived in requests:
        tags = arrived.headers["x-datadog-additional-tags"]
        assert tags.startswith(f"{HOST_TAGS},")
        assert "env:prod" in tags
        assert arrived.headers["content-type"].startswith("multipart/form-data; boundary=")
        file = parts_of(arrived)["file"]
        symbols = json.loads(gzip.decompress(file) if file[:2] == b"\x1f\x8b" else file)
        scopes += [scope["name"] for scope in symbols["scopes"]]
    assert "shop" in scopes


@pytest.fixture(params=MODES)
def chain(request: pytest.FixtureRequest) -> Iterator[tuple[RecordingServer, Running]]:
    with RecordingServer() as intake, running(intake.url, mode=request.param) as forwarder:
        yield intake, forwarder


def test_this_library_in_agent_mode_goes_through(chain: tuple[RecordingServer, Running]) -> None:
    intake, forwarder = chain
    config = SenderConfig()
    config.set_endpoint(Endpoint(forwarder.url))
    config.set_symdb_endpoint(Endpoint(forwarder.url))
    with Sender(config, tags="env:prod,service:x") as sender:
        for track in (Track.DIAGNOSTICS, Track.SNAPSHOTS, Track.LOGS):
            assert sender.enqueue(track, {"of": track.value})
        assert sender.enqueue(Track.SYMDB, b"\0symbols", content_type="multipart/x; boundary=y")
        assert sender.flush(10)
        assert sender.stats().delivered == 4
    requests = intake.wait_for(4)
    assert {arrived.path for arrived in requests} == {"/api/v2/debugger"}
    debugger = [arrived for arrived in requests if is_debugger(arrived)]
    assert sorted(one["of"] for arrived in debugger for one in json_of(arrived)) == [
        "diagnostics",
        "logs",
        "snapshots",
    ]
    for arrived in debugger:
        assert parse_qs(arrived.query) == {"ddtags": [f"{HOST_TAGS},env:prod,service:x"]}
    (symbols,) = filter(is_symdb, requests)
    assert symbols.body == b"\0symbols"
    assert symbols.headers["x-datadog-additional-tags"] == f"{HOST_TAGS},env:prod,service:x"
