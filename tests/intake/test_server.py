from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from raw_client import raw_exchange
from sample_data import KEY, SAMPLES

import livedebug_sender
from livedebug_sender import Sender, Track, agent_info_supports_debugger_v2_endpoint
from livedebug_sender.demo import sample_payloads
from livedebug_sender.intake.server import Intake
from livedebug_sender.intake.store import Store

STATIC = Path(livedebug_sender.__file__).parent / "intake" / "static"


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as started:
        yield started


def send_samples(sender: Sender) -> None:
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    for track, payloads in sample_payloads().items():
        for payload in payloads:
            symdb = content_type if track is Track.SYMDB else None
            assert sender.enqueue(track, payload, content_type=symdb)
    assert sender.flush(15.0)


@pytest.mark.parametrize("key", [None, KEY])
def test_what_a_sender_sends_arrives_whole(
    intake: Intake, make_sender: Callable[..., Sender], key: str | None
) -> None:
    send_samples(make_sender(intake.url, key=key, tags="env:test"))
    expected = sample_payloads()
    for track in ("diagnostics", "snapshots", "logs"):
        assert intake.payloads(track) == expected[Track(track)]
    (upload,) = intake.payloads("symdb")
    assert upload["symbols"]["scopes"]
    assert {request.mode for request in intake.requests} == {"agentless" if key else "agent"}
    assert {request.tags for request in intake.requests} == {"env:test"}
    assert {request.problem for request in intake.requests} == {""}


def test_no_key_is_kept(intake: Intake, make_sender: Callable[..., Sender]) -> None:
    send_samples(make_sender(intake.url, key=KEY))
    assert KEY not in repr(intake.requests)
    assert intake.requests[0].headers["dd-api-key"] == "***"


def test_no_credential_is_kept_in_whatever_header_or_field_it_came(intake: Intake) -> None:
    given = {"Authorization": KEY, "Cookie": KEY, "X-Vault-Token": KEY, "X-Own-Api-Key": KEY}
    query = f"dd-api-key={KEY}&api_key={KEY}&ddtags=env:test"
    url = f"{intake.url}/debugger/v2/input?{query}"
    requests.post(url, data=b"[]", headers=given, timeout=10)
    (request,) = intake.requests
    assert (request.query, request.tags) == (query.replace(KEY, "***"), "env:test")
    assert {request.headers[name.lower()] for name in given} == {"***"}
    assert KEY not in repr(request)
    assert KEY not in requests.get(f"{intake.url}/intake/requests/1", timeout=10).text


def test_it_looks_like_an_agent_with_the_newer_route(intake: Intake) -> None:
    info = requests.get(f"{intake.url}/info", timeout=10).json()
    assert agent_info_supports_debugger_v2_endpoint(info)
    assert {"/debugger/v1/diagnostics", "/symdb/v1/input"} <= set(info["endpoints"])


def test_what_cannot_be_read_is_answered_400_with_the_reason(intake: Intake) -> None:
    answer = requests.post(f"{intake.url}/debugger/v2/input", data="{", timeout=10)
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["errors"][0]
    assert "not JSON" in intake.requests[0].problem


def test_a_body_over_the_limit_is_answered_413_and_listed() -> None:
    with Intake(max_body=1000) as intake:
        for length in (1000, 1001, 10_000):
            body = b"[" + b" " * (length - 2) + b"]"
            answer = requests.post(f"{intake.url}/debugger/v2/input", data=body, timeout=10)
            assert answer.status_code == (202 if length == 1000 else 413)
        assert [request.status for request in intake.requests] == [202, 413, 413]
        assert "too large" in intake.requests[-1].problem


def test_an_intake_without_a_key_says_so(intake: Intake) -> None:
    requests.post(f"{intake.url}/api/v2/debugger", json=[{}], timeout=10)
    assert "no DD-API-KEY" in intake.requests[0].problem


def test_other_paths_are_answered_404_and_counted(intake: Intake) -> None:
    assert requests.put(f"{intake.url}/v9/everything", data="x", timeout=10).status_code == 404
    assert intake.store.totals.other == {"/v9/everything": 1}
    assert intake.requests == []


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v0.4/traces", {"rate_by_service": {}}),
        ("/v0.5/traces", {"rate_by_service": {}}),
        ("/v0.6/stats", {}),
        ("/telemetry/proxy/api/v2/apmtelemetry", {}),
        ("/evp_proxy/v4/api/v2/x", {}),
        ("/v0.7/config", {}),
    ],
)
def test_what_a_tracer_sends_besides_is_taken_and_thrown_away(
    intake: Intake, path: str, answer: dict[str, Any]
) -> None:
    found = requests.post(intake.url + path, data=b"\x93\x01", timeout=10)
    assert (found.status_code, found.json()) == (200, answer)
    assert sum(intake.store.totals.other.values()) == 1
    assert intake.requests == []


def test_info_lists_what_tracers_look_for(intake: Intake) -> None:
    listed = requests.get(f"{intake.url}/info", timeout=10).json()["endpoints"]
    assert {"/v0.4/traces", "/v0.7/config", "/debugger/v1/input"} <= set(listed)


def test_logs_come_on_the_logs_route_too(intake: Intake) -> None:
    headers = {"DD-API-KEY": KEY}
    url = f"{intake.url}/api/v2/logs"
    assert requests.post(url, json=[{"message": "m"}], headers=headers, timeout=10).ok
    assert intake.payloads("logs") == [{"message": "m"}]
    assert intake.requests[0].mode == "agentless"


HEAD = b"POST /debugger/v2/input HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def test_a_connection_is_kept_alive_for_many_requests(intake: Intake) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", intake.port, timeout=10)
    sockets = set()
    for n in range(5):
        connection.request("POST", "/debugger/v2/input", json.dumps([{"n": n}]))
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (202, b"{}")
        assert connection.sock is not None
        sockets.add(connection.sock.getsockname())
    connection.close()
    assert len(sockets) == 1


def test_a_chunked_body_and_one_that_waits_for_100_are_read(intake: Intake) -> None:
    chunks = iter([b'[{"a"', b": 1}]"])
    assert requests.post(f"{intake.url}/debugger/v2/input", data=chunks, timeout=10).ok
    with socket.create_connection(("127.0.0.1", intake.port), timeout=10) as connection:
        connection.sendall(HEAD + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(b"[{}]")
        assert connection.recv(65536).startswith(b"HTTP/1.1 202")
    assert intake.payloads() == [{"a": 1}, {}]


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET\r\n\r\n", b"x" * 100_000])
def test_what_is_no_http_is_refused_and_the_next_one_served(intake: Intake, sent: bytes) -> None:
    with suppress(ConnectionError):
        received = raw_exchange(intake, sent)
        assert b" 4" in received.split(b"\r\n")[0]
    assert requests.get(f"{intake.url}/info", timeout=10).ok


def test_stopping_does_not_wait_for_a_delay() -> None:
    intake = Intake()
    intake.start()
    intake.inject("late 60s")
    url = f"{intake.url}/debugger/v2/input"

    def post() -> None:
        with suppress(requests.RequestException):  # hung up, or answered in the last moment
            requests.post(url, json=[{}], timeout=30)

    client = threading.Thread(target=post)
    client.start()
    intake.wait_for(1)
    started = time.monotonic()
    intake.stop()
    assert time.monotonic() - started < 4
    client.join(10)
    assert not client.is_alive()


def test_the_port_is_free_again_after_stop() -> None:
    with Intake() as first:
        kept_alive = socket.create_connection(("127.0.0.1", first.port))
    with Intake(port=first.port) as second:
        assert requests.get(f"{second.url}/info", timeout=10).ok
    kept_alive.close()


def test_a_port_that_is_taken_raises() -> None:
    with Intake() as first, pytest.raises(OSError, match="in use"):
        Intake(port=first.port)


def test_it_listens_on_ipv6_and_on_all_addresses() -> None:
    with Intake("0.0.0.0") as everywhere:
        assert everywhere.url.startswith("http://127.0.0.1:")
        assert requests.get(f"{everywhere.url}/info", timeout=10).ok
    try:
        with Intake("::1") as newer:
            assert requests.get(f"{newer.url}/info", timeout=10).ok
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def ask(intake: Intake, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, Any]:
    """A request with exactly these headers; status, headers, body."""
    parts = urlsplit(intake.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, b"[]" if method == "POST" else None, names)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize("path", ["/", "/intake/state", "/static/main.js", "/info"])
def test_every_answer_forbids_foreign_scripts_and_guessing(intake: Intake, path: str) -> None:
    status, headers, _ = ask(intake, path)
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] is None


def test_the_page_has_no_inline_script_or_style_and_asks_nobody_else(intake: Intake) -> None:
    for file in STATIC.iterdir():
        text = file.read_text()
        for known in ("http://www.w3.org/2000/svg", "http://localhost:8126"):
            text = text.replace(known, "")
        for word in (
            "://",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "eval(",
            " style=",
            "onclick",
        ):
            assert word not in text, (file.name, word)


def test_our_own_script_and_style_are_under_60_kilobytes() -> None:
    files = [file for file in STATIC.iterdir() if file.suffix in (".js", ".css")]
    assert sum(file.stat().st_size for file in files) < 60_000
    assert len(files) >= 8


@pytest.mark.parametrize("path", ["/", "/intake/state", "/intake/requests/1", "/intake/events"])
def test_a_name_that_was_bound_to_loopback_shows_nothing(intake: Intake, path: str) -> None:
    status, _, body = ask(intake, path, Host=f"evil.example:{intake.port}")
    assert status == 403
    assert "listens on loopback" in json.loads(body)["errors"][0]


def test_another_page_can_neither_send_nor_clear(intake: Intake) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert ask(intake, "/debugger/v2/input", "POST", **foreign)[0] == 403
    assert ask(intake, "/intake/requests", "DELETE", **foreign)[0] == 403
    assert ask(intake, "/intake/faults", "PUT", **foreign)[0] == 403
    assert ask(intake, "/intake/send", "POST", **foreign)[0] == 403
    assert intake.requests == []


def test_memory_stays_bounded_under_a_flood(make_sender: Callable[..., Sender]) -> None:
    with Intake(store=Store(max_payloads=50, max_bytes=200_000)) as intake:
        sender = make_sender(intake.url, linger=0, max_batch_items=5)
        for n in range(300):
            sender.enqueue("logs", {"n": n, "debugger": {"snapshot": {}}, "x": "x" * 1000})
        assert sender.flush(15.0)
        payloads, size = intake.store.held()
        assert payloads <= 50
        assert size <= 200_000
        assert intake.store.totals.by_track == {"logs": 300}
