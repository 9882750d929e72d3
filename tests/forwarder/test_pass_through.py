"""The Agent's way, over real connections."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import socket
import time
import uuid
from urllib.parse import parse_qsl

import pytest
from network_servers import NameServer
from running_forwarder import DEBUGGER_ROUTES, ROUTES, running
from sample_data import KEY
from servers import RawServer, RecordingServer, Reply, cut, drip, free_port, hang

from livedebug_sender import __version__
from livedebug_sender.forwarder.pass_through import MAX_ANSWER

HOST_TAGS = f"host:h,default_env:e,agent_version:{__version__}"
MULTIPART = "multipart/form-data; boundary=xyz"
BODY = b"--xyz\r\n\x00\xff anything \r\n--xyz--\r\n"


@pytest.mark.parametrize("path", ROUTES)
def test_the_body_arrives_byte_for_byte_with_its_type_and_encoding(path):
    with RecordingServer() as intake, running(intake.url) as forwarder:
        body = gzip.compress(BODY * 20_000)
        assert forwarder.post(path, body, Content_Type=MULTIPART, Content_Encoding="gzip")
        (arrived,) = intake.requests
    assert (arrived.method, arrived.path, arrived.body) == ("POST", "/api/v2/debugger", body)
    assert arrived.headers["content-type"] == MULTIPART
    assert arrived.headers["content-encoding"] == "gzip"
    assert arrived.headers["content-length"] == str(len(body))
    assert "transfer-encoding" not in arrived.headers
    assert arrived.headers["dd-api-key"] == KEY
    origin = "agent-symdb" if path.startswith("/symdb") else "agent-debugger"
    assert arrived.headers["dd-evp-origin"] == origin
    assert arrived.headers["x-forwarded-for"] == "127.0.0.1"
    assert arrived.headers["host"] == intake.url.removeprefix("http://")


@pytest.mark.parametrize("path", DEBUGGER_ROUTES)
def test_debugger_tags_arrive_in_the_query(path):
    with RecordingServer() as intake, running(intake.url) as forwarder:
        forwarder.post(f"{path}?ddtags=c%3Ad", X_Datadog_Additional_Tags="a:b")
        (arrived,) = intake.requests
    assert parse_qsl(arrived.query) == [("ddtags", f"{HOST_TAGS},a:b,c:d")]


def test_symdb_tags_arrive_in_the_header():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        forwarder.post("/symdb/v1/input?ddtags=c%3Ad", X_Datadog_Additional_Tags="a:b")
        (arrived,) = intake.requests
    assert arrived.headers["x-datadog-additional-tags"] == f"{HOST_TAGS},a:b,c:d"


def test_who_sent_a_request_is_what_the_connection_says_and_not_its_headers():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        said = {"X_Forwarded_For": "198.51.100.7", "X_Forwarded_Proto": "https", "Forwarded": "x"}
        forwarder.post(ROUTES[2], **said)
        (arrived,) = intake.requests
        host = forwarder.url.removeprefix("http://")
    assert arrived.headers["x-forwarded-for"] == "127.0.0.1"
    assert arrived.headers["x-forwarded-proto"] == "http"
    assert arrived.headers["x-forwarded-host"] == host
    assert "forwarded" not in arrived.headers


def test_every_request_gets_an_id_of_its_own():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        for _ in range(3):
            forwarder.post(ROUTES[2], DD_REQUEST_ID="mine")
        ids = [request.headers["dd-request-id"] for request in intake.requests]
    assert len(set(ids)) == 3
    assert all(uuid.UUID(one).version == 4 for one in ids)


def test_a_chunked_body_arrives_with_its_length():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        answered = forwarder.ask("POST", ROUTES[2], iter([b"[1,", b"2]"]))
        (arrived,) = intake.requests
    assert answered.status == 202
    assert (arrived.body, arrived.headers["content-length"]) == (b"[1,2]", "5")


@pytest.mark.parametrize("status", [200, 202, 204, 302, 400, 403, 413, 429, 500, 503, 999])
def test_the_intakes_status_headers_and_body_come_back(status):
    body = b"" if status == 204 else b"\x1f\x8b not touched"
    headers = {
        "X-Own": "1",
        "Retry-After": "7",
        "Location": "http://127.0.0.1:1/",
        "Content-Encoding": "gzip",
    }
    with RecordingServer(Reply(status, headers, body)) as intake, running(intake.url) as forwarder:
        answered = forwarder.post(ROUTES[1])
        assert len(intake.requests) == 1
    assert (answered.status, answered.body) == (status, body)
    assert {name.lower(): value for name, value in headers.items()}.items() <= (
        answered.headers.items()
    )


def test_connections_to_the_intake_are_reused():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        for _ in range(5):
            forwarder.post(ROUTES[2])
        assert len({request.connection for request in intake.requests}) == 1


def test_on_a_kept_connection_too_the_answer_comes_back_whole():
    reply = Reply(200, {"X-Own-Name": "1"}, b"x" * 200_000)
    with RecordingServer(reply) as intake, running(intake.url) as forwarder:
        for _ in range(3):
            answered = forwarder.post(ROUTES[2], Accept_Encoding="gzip")
            assert answered.body == reply.body
            assert answered.headers["x-own-name"] == "1"
        assert len({request.connection for request in intake.requests}) == 1
        assert {request.headers["accept-encoding"] for request in intake.requests} == {"gzip"}


def test_a_connection_that_the_intake_closed_while_idle_is_no_failure():
    with RecordingServer(Reply(202, hang_up=True)) as intake, running(intake.url) as forwarder:
        assert [forwarder.post(ROUTES[2]).status for _ in range(4)] == [202] * 4


def test_an_intake_that_cannot_be_reached_is_a_502(caplog):
    with running(f"http://127.0.0.1:{free_port()}") as forwarder:
        answered = forwarder.post(ROUTES[2])
    assert (answered.status, answered.body) == (502, b"")
    assert "connection refused" in caplog.text


@pytest.mark.parametrize("act", [hang, drip])
def test_an_intake_that_is_slow_is_a_502_within_the_timeout(act, caplog):
    with RawServer(act) as intake, running(intake.url, timeout=0.5) as forwarder:
        begun = time.monotonic()
        answered = forwarder.post(ROUTES[2])
        assert time.monotonic() - begun < 5
    assert (answered.status, answered.body) == (502, b"")
    assert "timed out" in caplog.text


def test_an_intake_that_reads_no_large_body_is_a_502_within_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as intake:
        url = f"http://127.0.0.1:{intake.getsockname()[1]}"
        with running(url, timeout=0.5) as forwarder:
            begun = time.monotonic()
            assert forwarder.post(ROUTES[3], b"x" * 20_000_000).status == 502
            assert time.monotonic() - begun < 10


def test_an_answer_cut_in_its_head_is_a_502():
    with RawServer(cut) as intake, running(intake.url) as forwarder:
        assert forwarder.post(ROUTES[2]).status == 502


CUT_ANSWERS = {
    "length": (b"Content-Length: 9\r\n\r\nabc", b"Content-Length: 9", b"abc"),
    "chunk": (b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc", b"chunked", b"3\r\nabc\r\n"),
    "no end": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"chunked", b"3\r\nabc\r\n"),
    "bad chunk": (b"Transfer-Encoding: chunked\r\n\r\nnone\r\n", b"chunked", b""),
    "both": (
        b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"chunked",
        b"3\r\nabc\r\n",
    ),
    "two lengths": (b"Content-Length: 9, 9\r\n\r\nabc", b"chunked", b"3\r\nabc\r\n"),
    "endless": (
        b"Content-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
        b"Content-Length: 2000000",
        b"x" * MAX_ANSWER,
    ),
}


@pytest.mark.parametrize("name", CUT_ANSWERS)
def test_an_answer_cut_in_its_body_is_cut_for_the_tracer_too(name, caplog):
    answer, framing, body = CUT_ANSWERS[name]
    request = (
        f"POST {ROUTES[2]} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]"
        f"POST {ROUTES[2]} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]"
    ).encode()
    server = RawServer(lambda sock, _: sock.sendall(b"HTTP/1.1 429 No\r\nA: b\r\n" + answer))
    with server as intake, running(intake.url) as forwarder:
        head, _, received = forwarder.raw(request, end=False).partition(b"\r\n\r\n")
        assert forwarder.get("/health").status == 200
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nA: b\r\n" in head
    assert b"\r\nConnection: close" in head
    assert framing in head
    assert (b"Content-Length" in head) == framing.startswith(b"Content-Length")
    assert received == body
    assert ROUTES[2] in caplog.text


def test_an_answer_cut_for_a_client_of_http_1_0_just_ends():
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"
    request = f"POST {ROUTES[2]} HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode()
    server = RawServer(lambda sock, _: sock.sendall(answer))
    with server as intake, running(intake.url) as forwarder:
        head, _, body = forwarder.raw(request, end=False).partition(b"\r\n\r\n")
    assert body == b"abc"
    assert b"ontent-Length" not in head
    assert b"chunked" not in head


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo header\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["no HTTP", "no status", "no header", "no length"],
)
def test_a_malformed_answer_is_a_502(answer):
    server = RawServer(lambda sock, _: sock.sendall(answer))
    with server as intake, running(intake.url) as forwarder:
        assert forwarder.post(ROUTES[2]).status == 502


def test_additional_endpoints_get_a_copy_with_their_own_key():
    with RecordingServer(Reply(200, body=b"primary")) as intake, RecordingServer(500) as other:
        with running(intake.url, other.url) as forwarder:
            answered = forwarder.post(ROUTES[2], b"[1]")
            (copy,) = other.wait_for(1)
        (arrived,) = intake.requests
    assert answered.body == b"primary"
    assert (copy.path, copy.body, copy.query) == ("/more", b"[1]", arrived.query)
    assert copy.headers["dd-api-key"] == "key-of-0"
    assert arrived.headers["dd-api-key"] == KEY
    assert copy.headers["dd-request-id"] == arrived.headers["dd-request-id"]


def test_additional_endpoints_get_their_copy_even_where_the_primary_is_gone():
    nobody = f"http://127.0.0.1:{free_port()}"
    with RecordingServer() as other, running(nobody, other.url) as forwarder:
        assert forwarder.post(ROUTES[2]).status == 502
        other.wait_for(1)


def test_a_stalled_additional_endpoint_delays_nothing():
    with (
        RecordingServer() as intake,
        RawServer(hang) as other,
        running(intake.url, other.url, grace=0.5) as forwarder,
    ):
        begun = time.monotonic()
        assert [forwarder.post(ROUTES[2]).status for _ in range(5)] == [202] * 5
        forwarder.stop()
        assert time.monotonic() - begun < 5


@pytest.mark.waits
def test_a_name_server_that_stalls_is_a_timeout_in_time(monkeypatch):
    names = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", names.instead_of_getaddrinfo)
    try:
        with running("http://stalls.test", timeout=0.3) as forwarder:
            begun = time.monotonic()
            assert [forwarder.post(ROUTES[2]).status for _ in range(3)] == [502] * 3
            assert time.monotonic() - begun < 0.9 + 5
        assert names.asked == ["stalls.test"]
    finally:
        names.answers.set()


def test_info_lists_the_routes_and_nothing_secret():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        answered = forwarder.get("/info")
        assert forwarder.ask("HEAD", "/info").body == b""
    assert answered.status == 200
    assert answered.json["endpoints"] == list(ROUTES)
    assert answered.json["version"] == __version__
    assert KEY.encode() not in answered.body


def test_info_has_the_fields_of_the_agents_and_its_hash_is_in_every_answer():
    with RecordingServer() as intake, running(intake.url, max_body_bytes=1000) as forwarder:
        info = forwarder.get("/info")
        answers = [forwarder.post(path) for path in ROUTES]
    for name in ("git_commit", "client_drop_p0s", "config", "peer_tags", "obfuscation_version"):
        assert name in info.json
    assert info.json["config"]["default_env"] == "e"
    assert info.json["config"]["max_request_bytes"] == 1000
    for answered in answers:
        assert answered.headers["datadog-agent-version"] == __version__
        state = hashlib.sha256(info.body).hexdigest()
        assert answered.headers["datadog-agent-state"] == state


def test_traces_and_telemetry_are_swallowed_and_counted_where_that_is_asked_for():
    telemetry = "/telemetry/proxy/api/v2/apmtelemetry"
    with RecordingServer() as intake, running(intake.url, swallow_others=True) as forwarder:
        assert "/v0.4/traces" in forwarder.get("/info").json["endpoints"]
        answered = forwarder.ask("PUT", "/v0.4/traces", b"\x90")
        assert (answered.status, answered.json) == (200, {"rate_by_service": {}})
        assert "datadog-agent-state" in answered.headers
        assert forwarder.post(telemetry, b"x" * 5000).status == 200
        assert forwarder.post("/v0.6/stats").status == 200
        assert forwarder.post("/nowhere").status == 404
        page = forwarder.get("/metrics").body.decode()
        assert intake.requests == []
    for kind in ("traces", "telemetry", "stats"):
        assert f'livedebug_forwarder_swallowed_total{{kind="{kind}"}} 1.0\n' in page


def test_only_the_named_routes_and_methods_are_served():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        for path in ("/", "/debugger/v2/input/", "/v0.5/traces", "/debugger/v1", "/../info"):
            assert forwarder.post(path).status == 404
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "TRACE"):
            answered = forwarder.ask(method, ROUTES[2])
            assert (answered.status, answered.headers["allow"]) == (405, "POST")
        assert forwarder.post("/info").status == 405
        assert intake.requests == []


def test_no_log_line_and_no_answer_ever_holds_a_key(caplog):
    caplog.set_level(logging.DEBUG)

    with (
        RecordingServer(403) as intake,
        RecordingServer(403) as other,
        running(intake.url, other.url) as forwarder,
    ):
        seen = [forwarder.post(path).body for path in ROUTES]
        seen.append(forwarder.get("/metrics").body)
    with running(f"http://127.0.0.1:{free_port()}", "http://no-such-host.invalid") as forwarder:
        seen += [forwarder.post(path).body for path in ROUTES]
        seen.append(forwarder.get("/metrics").body)
    text = b"".join(seen).decode() + caplog.text + json.dumps([str(r.args) for r in caplog.records])
    assert KEY not in text
    assert "key-of-0" not in text
