"""What a forwarder doesn't put up with: raw bytes against the real server."""

from __future__ import annotations

import gc
import socket
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running_forwarder import ROUTES, Running, running, statuses
from sample_data import KEY
from servers import Arrived, RecordingServer
from waiting import until

from livedebug_sender.forwarder.application import Forwarder
from livedebug_sender.forwarder.server import listening, server, worker
from livedebug_sender.forwarder.server.connection import Patience

V2 = b"/debugger/v2/input"
SETTINGS = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the servers that a test starts itself."""
    monkeypatch.setattr(server, "LOOK_EVERY", 0.05)  # seconds
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.05)


@pytest.fixture(scope="module")
def intake() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture(scope="module")
def forwarder(intake: RecordingServer) -> Iterator[Running]:
    with running(intake.url, receive_timeout=5.0) as forwarder:
        yield forwarder


@pytest.fixture(autouse=True)
def _nothing_unexpected_arrives(intake: RecordingServer, forwarder: Running) -> Iterator[None]:
    """Whatever a test sends, the intake gets well-formed requests, where they should go."""
    intake.requests.clear()
    yield
    for arrived in intake.requests:
        assert (arrived.method, arrived.path) == ("POST", "/api/v2/debugger")
        assert arrived.headers["dd-api-key"] == KEY
        assert arrived.headers["content-length"] == str(len(arrived.body))
        assert "transfer-encoding" not in arrived.headers
    assert forwarder.get("/health").status == 200


def post(*headers: bytes, body: bytes = b"", version: bytes = b"1.1", target: bytes = V2) -> bytes:
    lines = [b"POST " + target + b" HTTP/" + version, b"Host: x", *headers]
    return b"\r\n".join([*lines, b"", body])


# ---- smuggling ----

SMUGGLED = b"POST /debugger/v1/diagnostics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n!"

AMBIGUOUS = {
    "TE and CL": (b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    "CL and TE": (b"Transfer-Encoding: chunked", b"Content-Length: 4"),
    "TE in other case": (b"Content-Length: 4", b"tRANSFER-eNCODING: chunked"),
    "TE with a tab": (b"Content-Length: 4", b"Transfer-Encoding:\tchunked"),
    "TE with a vertical tab": (b"Content-Length: 4", b"Transfer-Encoding: \x0bchunked"),
    "TE with a space before the colon": (b"Content-Length: 4", b"Transfer-Encoding : chunked"),
    "TE that is none": (b"Content-Length: 4", b"Transfer-Encoding: xchunked"),
    "TE twice": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "TE that isn't last": (b"Transfer-Encoding: chunked, gzip",),
    "TE folded": (b"Content-Length: 4", b"Transfer-Encoding:", b" chunked"),
    "TE without a coding": (b"Transfer-Encoding:",),
    "TE of commas": (b"Transfer-Encoding: ,",),
    "TE behind a bare LF": (b"Content-Length: 4\nTransfer-Encoding: chunked",),
    "TE behind a bare CR": (b"Content-Length: 4\rTransfer-Encoding: chunked",),
    "two CLs": (b"Content-Length: 4", b"Content-Length: 5"),
    "the same CL twice": (b"Content-Length: 4", b"Content-Length: 4"),
    "a list of CLs": (b"Content-Length: 4, 5",),
    "CL with a plus": (b"Content-Length: +4",),
    "CL below zero": (b"Content-Length: -1",),
    "CL in hex": (b"Content-Length: 0x4",),
    "CL in words": (b"Content-Length: four",),
    "CL of many digits": (b"Content-Length: " + b"9" * 5000,),
    "CL with a NUL": (b"Content-Length: 4\0",),
    "CL with a space in it": (b"Content-Length: 4 0",),
    "two hosts": (b"Host: y", b"Content-Length: 0"),
}


@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_request_that_can_be_read_in_two_ways_ends_the_connection(forwarder, intake, headers):
    received = forwarder.raw(post(*headers, body=b"0\r\n\r\n" + SMUGGLED))
    assert statuses(received) in ([400], [413], [501])
    assert intake.requests == []


def test_transfer_encoding_in_http_1_0_is_refused(forwarder, intake):
    request = post(b"Transfer-Encoding: chunked", version=b"1.0", body=b"0\r\n\r\n" + SMUGGLED)
    assert statuses(forwarder.raw(request)) == [400]
    assert intake.requests == []


BAD_CHUNKS = {
    "no size": b"\r\nx\r\n0\r\n\r\n",
    "a size below zero": b"-1\r\nx\r\n0\r\n\r\n",
    "a size in other letters": b"0x1\r\nx\r\n0\r\n\r\n",
    "a size too small": b"1\r\nxyz\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\nx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_chunks_that_are_none_are_refused(forwarder, intake, chunks):
    received = forwarder.raw(post(b"Transfer-Encoding: chunked", body=chunks + SMUGGLED))
    assert statuses(received) == [400]
    assert intake.requests == []


@pytest.mark.parametrize(
    "endless", [b"2;" + b"a" * 70_000, b"0\r\n" + b"A: b\r\n" * 12_000], ids=["line", "trailer"]
)
def test_a_line_of_a_chunk_or_a_trailer_without_end_is_refused(forwarder, intake, endless):
    received = forwarder.raw(post(b"Transfer-Encoding: chunked", body=endless), end=False)
    assert statuses(received) == [400]
    assert intake.requests == []


def test_pipelined_requests_are_answered_in_their_order(forwarder, intake):
    requests = [
        post(b"Content-Length: 3", body=b"[1]"),
        post(b"Transfer-Encoding: chunked", body=b"3\r\n[2]\r\n0\r\n\r\n"),
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        post(b"Content-Length: 3", b"Connection: close", body=b"[3]"),
    ]
    assert statuses(forwarder.raw(b"".join(requests), end=False)) == [202, 202, 404, 202]
    assert [arrived.body for arrived in intake.requests] == [b"[1]", b"[2]", b"[3]"]


def test_nothing_inside_a_body_becomes_a_request(forwarder, intake):
    length = b"Content-Length: %d" % len(SMUGGLED)
    received = forwarder.raw(post(length, b"Connection: close", body=SMUGGLED), end=False)
    assert statuses(received) == [202]
    assert [arrived.body for arrived in intake.requests] == [SMUGGLED]


# ---- lies about the length ----


def test_a_body_shorter_than_its_length_is_never_forwarded(forwarder, intake):
    forwarder.raw(post(b"Content-Length: 100", body=b"[1]"))
    assert intake.requests == []


def test_what_follows_a_body_longer_than_its_length_is_no_request(forwarder, intake):
    received = forwarder.raw(post(b"Content-Length: 3", body=b"[1] and more\r\n\r\n"))
    assert statuses(received) == [202, 400]
    assert [arrived.body for arrived in intake.requests] == [b"[1]"]


# ---- where to ----

TARGETS = {
    "absolute": b"http://evil.example/debugger/v2/input",
    "absolute with user info": b"http://u:p@evil.example:1/debugger/v2/input",
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_no_target_leads_elsewhere(forwarder, intake, target):
    headers = (b"X-Forwarded-Host: evil.example", b"Forwarded: host=evil.example")
    ended = (b"Content-Length: 2", b"Connection: close")
    received = forwarder.raw(post(*headers, *ended, body=b"[]", target=target), end=False)
    assert statuses(received) == [202]
    (arrived,) = intake.requests
    assert arrived.headers["host"] == intake.url.removeprefix("http://")


@pytest.mark.parametrize(
    "line",
    [
        b"CONNECT evil.example:443 HTTP/1.1",
        b"POST evil.example HTTP/1.1",
        b"POST * HTTP/1.1",
        b"POST /debugger/v2/../v2/input HTTP/1.1",
        b"POST /debugger/v2/input%00 HTTP/1.1",
        b"POST /debugger/v2/input#@evil.example HTTP/1.1",
        b"POST /debugger\\v2\\input HTTP/1.1",
        b"POST",
        b"\x16\x03\x01\x02\x00",
        b"",
    ],
)
def test_other_targets_lead_nowhere(forwarder, intake, line):
    received = forwarder.raw(line + b"\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert set(statuses(received)) <= {400, 404, 405}
    assert intake.requests == []


def test_a_header_with_an_underscore_is_not_taken_for_the_one_with_a_hyphen(forwarder, intake):
    forwarder.raw(
        post(b"X_Datadog_Additional_Tags: a:b", b"Content-Length: 0", b"Connection: close"),
        end=False,
    )
    (arrived,) = intake.requests
    assert "a%3Ab" not in arrived.query


# ---- how much ----


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_over_the_limit_is_a_413_and_one_at_the_limit_is_not(path):
    with RecordingServer() as intake, running(intake.url, max_body_bytes=10_000) as forwarder:
        assert forwarder.post(path, b"x" * 10_000).status == 202
        assert forwarder.post(path, b"x" * 10_001).status == 413
        chunks = (b"x" * 1000 for _ in range(20))
        received = forwarder.raw(
            post(b"Transfer-Encoding: chunked", target=path.encode()),
            b"".join(b"3e8\r\n" + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n",
        )
        assert statuses(received) == [413]
        assert len(intake.requests) == 1


def test_a_body_over_the_limit_is_refused_before_it_is_sent(forwarder):
    received = forwarder.raw(post(b"Content-Length: 999999999999"), end=False)
    assert statuses(received) == [413]


def test_headers_over_64_kib_are_a_431(forwarder, intake):
    assert statuses(forwarder.raw(post(b"X: " + b"x" * 70_000))) == [431]
    assert statuses(forwarder.raw(post(*[b"X%d: y" % n for n in range(10_000)]))) == [431]
    assert intake.requests == []


class Gate:
    """An intake that answers once it is told to."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, arrived: Arrived) -> int:
        self.opened.wait(20)
        return 202


@pytest.mark.parametrize(
    ("bounds", "body"),
    [({"max_at_once": 2}, b"[]"), ({"max_at_once_bytes": 1000, "max_body_bytes": 500}, b"x" * 400)],
    ids=["requests", "bytes"],
)
def test_too_many_at_once_are_a_503_and_the_pages_are_still_served(bounds, body):
    gate = Gate()
    with RecordingServer(gate) as intake, running(intake.url, **bounds) as forwarder:
        seen: list[int] = []
        waiting = [
            threading.Thread(target=lambda: seen.append(forwarder.post(ROUTES[2], body).status))
            for _ in range(2)
        ]
        for thread in waiting:
            thread.start()
        intake.wait_for(2)
        refused = forwarder.post(ROUTES[2], body)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert forwarder.get("/health").status == 200
        assert forwarder.get("/info").status == 200
        assert b"livedebug_forwarder_requests_in_hand 2.0\n" in forwarder.get("/metrics").body
        gate.opened.set()
        for thread in waiting:
            thread.join(20)
        assert seen == [202, 202]
        assert forwarder.post(ROUTES[2], body).status == 202


def test_bodies_that_are_still_coming_in_are_bounded_together():
    half = post(b"Content-Length: 1000", body=b"x" * 600)
    bounds = {"max_at_once_bytes": 2500, "max_body_bytes": 1000}
    with RecordingServer() as intake, running(intake.url, **bounds) as forwarder:
        with forwarder.connect() as one, forwarder.connect() as other:
            one.sendall(half)
            other.sendall(half)
            assert until(lambda: forwarder.receiving_bytes == 2000)
            received = forwarder.raw(half, end=False)
            assert statuses(received) == [503]
            assert b"Retry-After: 1\r\n" in received
            chunked = post(b"Transfer-Encoding: chunked", body=b"258\r\n" + b"x" * 600)
            assert statuses(forwarder.raw(chunked, end=False)) == [503]
            one.sendall(b"x" * 400)
            assert statuses(one.recv(1000)) == [202]
        assert until(lambda: forwarder.receiving_bytes == 0)
        assert forwarder.post(ROUTES[2], b"x" * 1000).status == 202


def test_a_large_body_needs_no_file(monkeypatch, intake, forwarder):
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/directory")
    assert forwarder.post(ROUTES[2], b"x" * 3_000_000).status == 202
    (arrived,) = intake.requests
    assert len(arrived.body) == 3_000_000


# ---- how slow ----


@pytest.mark.parametrize(
    "begun", [b"POST ", post(b"Content-Length: 100000"), post(b"Transfer-Encoding: chunked")]
)
def test_a_request_that_comes_drop_by_drop_is_cut(intake, begun):
    with running(intake.url, receive_timeout=0.2) as forwarder, forwarder.connect() as sock:
        sock.sendall(begun)
        until = time.monotonic() + 20
        try:
            while time.monotonic() < until:
                sock.sendall(b"1")  # never idle
                sock.settimeout(0.05)
                try:
                    assert sock.recv(1000) == b""
                    return
                except TimeoutError:
                    continue
        except ConnectionError:
            return
        raise AssertionError("the server still listens")


@pytest.mark.waits
def test_clients_that_read_no_answers_hold_nobody_up_and_are_cut(intake):
    asked = b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000  # more than is kept for them
    bounds = {"receive_timeout": 1.0, "max_at_once": 2}
    with running(intake.url, **bounds) as forwarder:
        deaf = []
        for _ in range(8):  # more than it has threads
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((forwarder.host, forwarder.port))
            sock.setblocking(False)
            sock.send(asked)
            deaf.append(sock)
        assert forwarder.post(ROUTES[2]).status == 202
        assert until(lambda: forwarder.closed_connections > len(deaf), 30)  # and that of the post
        for sock in deaf:
            sock.close()


def test_clients_that_leave_in_the_middle_leave_nothing_behind():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        for begun in (b"", b"POST", post(b"Content-Length: 9000", body=b"x" * 100)):
            for _ in range(20):
                with forwarder.connect() as sock:
                    sock.sendall(begun)
        with forwarder.connect() as sock:  # and one that waits for no answer
            sock.sendall(post(b"Content-Length: 3", body=b"[1]"))
        intake.wait_for(1)
        assert until(lambda: forwarder.receiving_bytes == 0)
        assert until(lambda: b"requests_in_hand 0.0\n" in forwarder.get("/metrics").body)
        assert [arrived.body for arrived in intake.requests] == [b"[1]"]


def test_many_idle_connections_keep_nobody_out(forwarder):
    idle = [forwarder.connect() for _ in range(200)]
    for sock in idle:
        sock.sendall(b"POST /debugger/v2/input HTTP/1.1\r\n")
    assert forwarder.post(ROUTES[2]).status == 202
    for sock in idle:
        sock.close()


CLIENTS_THAT_HOLD_PLACES = {
    "silent": b"",
    "in a head": b"POST /debugger/v2/input HTTP/1.1\r\n",
    "idle": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "in a body": post(b"Content-Length: 100000", body=b"x"),
    "in chunks": post(b"Transfer-Encoding: chunked", body=b"5\r\nabc"),
    "after the last answer": b"GET /health HTTP/1.0\r\n\r\n",
}


@pytest.fixture
def with_20_places(monkeypatch, intake) -> Iterator[Running]:
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(worker, "IF_FULL", Patience(idle=0.2, head=0.2, rest=0.5))
    with running(intake.url, max_at_once=4) as forwarder:
        yield forwarder


@pytest.mark.parametrize(
    "begun", CLIENTS_THAT_HOLD_PLACES.values(), ids=CLIENTS_THAT_HOLD_PLACES.keys()
)
def test_clients_that_hold_all_places_keep_nobody_out(with_20_places, begun):
    held = [with_20_places.connect() for _ in range(25)]  # more wait for a place
    for sock in held:
        sock.sendall(begun)
    begun_at = time.monotonic()
    assert with_20_places.post(ROUTES[2]).status == 202
    assert time.monotonic() - begun_at < 25  # of the 30 s and 120 s that they may take
    for sock in held:
        sock.close()


@pytest.mark.waits
def test_where_places_are_short_those_in_a_request_are_cut_last_and_those_in_hand_never(
    monkeypatch,
):
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 20)
    gate = Gate()
    with RecordingServer(gate) as intake, running(intake.url, max_at_once=4) as forwarder:
        asked = post(b"Content-Length: 3", b"Connection: close", body=b"[1]")
        in_hand, in_body = forwarder.connect(), forwarder.connect()
        in_hand.sendall(asked)
        in_body.sendall(asked[:-1])
        intake.wait_for(1)
        slow = [forwarder.connect() for _ in range(18)]
        for sock in slow:
            sock.sendall(b"POST ")
        with forwarder.connect() as tracer:  # waits until one of the slow is cut
            tracer.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert statuses(tracer.recv(1000)) == [200]
        in_body.sendall(asked[-1:])
        intake.wait_for(2)
        gate.opened.set()
        assert statuses(in_hand.recv(1000)) == [202]
        assert statuses(in_body.recv(1000)) == [202]
        for sock in (in_hand, in_body, *slow):
            sock.close()


# ---- fuzz ----


@SETTINGS
@given(data=st.binary(max_size=300))
def test_whatever_bytes_come_nothing_is_forwarded(forwarder, intake, data):
    received = forwarder.raw(data)
    assert all(400 <= status < 600 for status in statuses(received))
    assert intake.requests == []


PARTS = (
    *(b"POST ", b"GET ", V2, b"/info", b" HTTP/1.1", b" HTTP/1.0"),
    *(b"\r\n", b"\r", b"\n", b"\r\n\r\n", b",", b" ", b"\t", b"\0", b"\xff", b"0", b"3", b"abc"),
    *(b"Host: x", b"Content-Length: ", b"Transfer-Encoding: ", b"chunked"),
    *(b"Connection: ", b"close", b"DD-API-KEY", b"Expect: 100-continue"),
)


@SETTINGS
@given(pieces=st.lists(st.sampled_from(PARTS), max_size=30), begin=st.booleans())
def test_whatever_is_made_of_a_requests_parts_the_server_lives(forwarder, intake, pieces, begin):
    head = b"POST " + V2 + b" HTTP/1.1\r\nHost: x\r\n" if begin else b""
    received = forwarder.raw(head + b"".join(pieces))
    assert KEY.encode() not in received
    assert all(100 <= status < 600 for status in statuses(received))


@SETTINGS
@given(
    body=st.binary(max_size=400),
    boundary=st.binary(max_size=40).map(lambda b: b.translate(None, bytes(range(32)) + b"\x7f")),
    kind=st.sampled_from([b"multipart/form-data; boundary=", b"multipart/", b"application/json"]),
)
def test_malformed_multipart_is_forwarded_as_it_is(forwarder, intake, body, boundary, kind):
    content_type = (kind + boundary).strip()
    intake.requests.clear()
    received = forwarder.raw(
        post(
            b"Content-Type: " + content_type,
            b"Content-Length: %d" % len(body),
            b"Connection: close",
            body=body,
            target=b"/debugger/v1/diagnostics",
        ),
        end=False,
    )
    assert statuses(received) == [202]
    (arrived,) = intake.requests
    assert arrived.body == body
    assert arrived.headers["content-type"].encode("latin-1") == content_type


@SETTINGS
@given(claimed=st.integers(0, 60), sent=st.integers(0, 60))
def test_whatever_length_is_claimed_no_half_body_is_forwarded(forwarder, intake, claimed, sent):
    intake.requests.clear()
    forwarder.raw(post(b"Content-Length: %d" % claimed, body=b"x" * sent))
    assert [len(arrived.body) for arrived in intake.requests] == [claimed] * (sent >= claimed)


# ---- what is remembered ----


def test_long_names_values_and_queries_do_not_stay_in_memory(forwarder: Running) -> None:
    connection = forwarder.connect()
    long = b"y" * 20_000
    tracemalloc.start()
    try:
        for n in range(30):
            tag = b"%d" % n + long
            names = b",".join(b"%d" % name for name in range(n, n + 5000))
            connection.sendall(
                b"POST /debugger/v2/input?ddtags=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                b"Connection: %s, keep-alive\r\n\r\n" % (tag, names)
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 ")
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 500_000  # of more than 1.3 MB
    finally:
        tracemalloc.stop()
        connection.close()


def test_a_header_name_of_more_than_256_bytes_is_refused(forwarder: Running) -> None:
    name = b"a" * 256
    assert statuses(forwarder.raw(post(name + b": 1", b"Content-Length: 0"))) == [202]
    assert statuses(forwarder.raw(post(name + b"a: 1", b"Content-Length: 0"))) == [400]


def test_where_no_further_thread_can_be_started_those_that_run_go_on(
    intake: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        # Not the first one of a server: it is started by none of these.
        if thread.name == threading.current_thread().name == "forwarder":
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with running(intake.url) as limited_one:
        for _ in range(3):
            assert limited_one.get("/health").status == 200
        assert refused


def test_slow_clients_are_cut_though_what_is_done_each_second_fails(
    intake: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def publish(_: Forwarder) -> None:
        failed.set()
        raise ValueError("too many bytes of metrics")

    with monkeypatch.context() as patched:
        patched.setattr(Forwarder, "publish", publish)
        with running(intake.url, receive_timeout=0.2) as other, other.connect() as sock:
            assert failed.wait(20)
            sock.sendall(b"POST / HT")
            assert sock.recv(1) == b""


@pytest.mark.parametrize("together", [True, False])
def test_an_empty_line_behind_a_body_is_passed_over(forwarder: Running, together: bool) -> None:
    first = post(b"Content-Length: 2", body=b"[]\r\n")
    second = post(b"Content-Length: 2", b"Connection: close", body=b"[]")
    if together:
        assert statuses(forwarder.raw(first + second, end=False)) == [202, 202]
        return
    with forwarder.connect() as sock:
        sock.sendall(first)
        assert statuses(sock.recv(65536)) == [202]
        sock.sendall(second)
        assert statuses(sock.recv(65536)) == [202]
