from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
import requests
from sample_requests import request_to
from servers import RawServer, RecordingServer, Reply, cut, drip, full_backlog, hang

from livedebug_sender import Endpoint, Sender, SenderConfig, Track
from livedebug_sender.transport.name_resolution import Resolver
from livedebug_sender.transport.response import MAX_ANSWER, NoResponse, TimedOut
from livedebug_sender.transport.transport import Transport

KEY = "0123456789abcdef0123456789abcdef"
LARGE = [b'{"a":"' + b"x" * 100_000 + b'"}'] * 100
#: Kept for what should be at once, on a machine that is busy.
SLACK = 8.0


@pytest.fixture
def transport() -> Iterator[Transport]:
    with closing(Transport()) as made:
        yield made


@contextmanager
def shorter_than(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def drip_head(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 O")
    while not over.wait(0.02):
        connection.sendall(b"K")


def drip_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"x")


def drip_chunks(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"1\r\nx\r\n")


@contextmanager
def accepting_nothing() -> Iterator[str]:
    """A server whose connections come about, but which never reads or answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("fault", [drip_body, drip_chunks])
@pytest.mark.parametrize("by", ["timeout", "deadline"])
def test_the_status_counts_whatever_becomes_of_the_body_and_no_time_is_lost(
    transport: Transport, fault: Any, by: str
) -> None:
    with RawServer(fault) as server, shorter_than(0.2 + SLACK):
        request = request_to(server.url, timeout=0.2 if by == "timeout" else 30)
        deadline = None if by == "timeout" else time.monotonic() + 0.2
        assert transport.post(request, deadline=deadline).status == 200


@pytest.mark.parametrize("fault", [hang, drip, drip_head])
@pytest.mark.parametrize("by", ["timeout", "deadline"])
def test_the_head_of_an_answer_comes_in_time_or_there_is_none(
    transport: Transport, fault: Any, by: str
) -> None:
    with RawServer(fault) as server, shorter_than(0.2 + SLACK):
        request = request_to(server.url, timeout=0.2 if by == "timeout" else 30)
        deadline = None if by == "timeout" else time.monotonic() + 0.2
        with pytest.raises(NoResponse, match="timed out"):
            transport.post(request, deadline=deadline)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_takes_nothing_stops_neither_a_large_body_nor_a_handshake(
    transport: Transport, scheme: str
) -> None:
    with accepting_nothing() as address, shorter_than(0.2 + SLACK):
        request = request_to(f"{scheme}://{address}", *LARGE, timeout=30)
        with pytest.raises(NoResponse, match="timed out"):
            transport.post(request, deadline=time.monotonic() + 0.2)


def test_all_addresses_of_a_host_share_one_timeout(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_backlog() as url:
        port = int(url.rsplit(":", 1)[1])
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 20)
        with shorter_than(0.2 + SLACK), pytest.raises(NoResponse, match="timed out"):
            transport.post(request_to(f"http://many.test:{port}", timeout=0.2))


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_backlog() as dead, RecordingServer() as alive:
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))
            for port in (dead.rsplit(":", 1)[1], alive.port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        assert transport.post(request_to("http://two.test", timeout=0.5)).status == 202


def test_a_time_that_is_over_already_makes_no_request(transport: Transport) -> None:
    with RecordingServer() as server:
        with pytest.raises(NoResponse, match="timed out"):
            transport.post(request_to(server.url), deadline=time.monotonic())
        assert not server.requests


@pytest.mark.parametrize("fault", [hang, drip])
@pytest.mark.parametrize("now", [0.0, 2e9])
def test_a_host_that_stops_its_clock_stops_no_timeout(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, fault: Any, now: float
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with RawServer(fault) as server, pytest.raises(TimedOut):
        transport.post(request_to(server.url, timeout=0.2))


@pytest.mark.parametrize("fault", [hang, drip_head])
def test_abort_cuts_a_request_that_waits_for_its_answer(transport: Transport, fault: Any) -> None:
    with RawServer(fault) as server, shorter_than(SLACK):
        threading.Thread(target=lambda: server.arrived.wait(5) and transport.abort()).start()
        with pytest.raises(NoResponse):
            transport.post(request_to(server.url, timeout=30))


def test_abort_cuts_a_connection_that_is_not_yet_made() -> None:
    with full_backlog() as url, shorter_than(SLACK):
        looked_up = threading.Event()

        def look_up(host: str, port: int) -> list[Any]:
            looked_up.set()  # and now it connects
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        transport = Transport(resolver=Resolver(look_up))
        aborter = threading.Thread(target=lambda: looked_up.wait(5) and transport.abort())
        aborter.start()
        with pytest.raises(NoResponse):
            transport.post(request_to(url.replace("127.0.0.1", "full.test"), timeout=30))
        aborter.join()


def test_abort_never_takes_the_encryption_off(
    transport: Transport,
    server_tls: ssl.SSLContext,
    trusted: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unwrapped_by = []
    monkeypatch.setattr(
        ssl.SSLSocket, "shutdown", lambda *_: unwrapped_by.append(threading.current_thread())
    )
    with RecordingServer(tls=server_tls) as server:
        transport.post(request_to(server.url))
        transport.abort()
    # The server's own threads may.
    assert threading.current_thread() not in unwrapped_by


@pytest.mark.parametrize("used", [False, True])
def test_after_an_abort_nothing_is_sent(transport: Transport, used: bool) -> None:
    with RecordingServer() as server:
        if used:
            transport.post(request_to(server.url))
        transport.abort()
        with pytest.raises(NoResponse):
            transport.post(request_to(server.url))
        assert len(server.requests) == used


def closes_when_used_again(connection: socket.socket, over: threading.Event) -> None:
    """Answer, then, once the next request begins to come, hang up without a word."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.recv(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("another_between", [False, True])
def test_a_kept_connection_closed_without_a_word_is_replaced_at_once(
    transport: Transport, another_between: bool
) -> None:
    with RawServer(closes_when_used_again) as server, RecordingServer() as other:
        transport.post(request_to(server.url))
        if another_between:
            transport.post(request_to(other.url))
        assert transport.post(request_to(server.url)).status == 200
        assert server.connections == 2


def test_what_a_server_says_unasked_is_no_answer_to_the_next_request(
    transport: Transport,
) -> None:
    said = threading.Event()

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.sendall(b"HTTP/1.1 408 Idle\r\nContent-Length: 0\r\n\r\n")
        said.set()
        over.wait()

    with RawServer(answer) as server:
        for number in range(3):
            said.clear()
            assert transport.post(request_to(server.url)).status == 200
            assert said.wait(10)
            assert server.connections == number + 1


def test_connections_are_kept_to_a_few_servers_only(transport: Transport) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(RecordingServer()) for _ in range(6)]
        for server in [*servers, *servers[-2:], servers[0]]:
            assert transport.post(request_to(server.url)).status == 202
        connections = [len({one.connection for one in server.requests}) for server in servers]
        assert connections[-2:] == [1, 1]
        assert connections[0] == 2


def test_a_new_connection_that_is_cut_is_not_tried_again_here(transport: Transport) -> None:
    with RawServer(lambda connection, over: None) as server:
        with pytest.raises(NoResponse):
            transport.post(request_to(server.url))
        assert server.connections == 1


def test_an_answer_cut_in_its_head_is_none_and_is_not_tried_again(transport: Transport) -> None:
    with RawServer(cut) as server:
        with pytest.raises(NoResponse):
            transport.post(request_to(server.url))
        assert server.connections == 1


@pytest.mark.parametrize("size", [0, 10, MAX_ANSWER, 1_000_000])
def test_of_an_answer_the_beginning_is_read(transport: Transport, size: int) -> None:
    with RecordingServer(Reply(400, body=b"x" * size)) as server:
        answer = transport.post(request_to(server.url))
        transport.post(request_to(server.url))
        assert answer.body == b"x" * min(size, MAX_ANSWER)
        one_connection = len({arrived.connection for arrived in server.requests}) == 1
        assert one_connection or size > MAX_ANSWER


def test_a_body_in_pieces_arrives_whole_with_its_length(transport: Transport) -> None:
    with RecordingServer() as server:
        transport.post(request_to(server.url, *LARGE))
        (arrived,) = server.requests
        assert int(arrived.headers["content-length"]) == len(arrived.body)
        assert "transfer-encoding" not in arrived.headers
        assert len(arrived.elements) == len(LARGE)


def test_no_header_is_sent_that_nobody_asked_for(transport: Transport) -> None:
    with RecordingServer() as server:
        transport.post(request_to(server.url))
        (arrived,) = server.requests
        assert set(arrived.headers) <= {
            "host",
            "user-agent",
            "content-type",
            "content-length",
            "accept-encoding",
        }


def test_tags_in_a_header_travel_as_utf8(transport: Transport) -> None:
    with RecordingServer() as server:
        transport.post(request_to(server.url, track=Track.SYMDB, tags="city:Köln"))
        (arrived,) = server.requests
        sent = arrived.headers["x-datadog-additional-tags"]
        assert sent.encode("latin-1").decode("utf-8") == "city:Köln"


def test_cookies_are_not_kept(transport: Transport) -> None:
    with RecordingServer(Reply(202, {"Set-Cookie": "a=b"})) as server:
        for _ in range(2):
            transport.post(request_to(server.url))
        assert all("cookie" not in arrived.headers for arrived in server.requests)


@pytest.mark.parametrize("factory", [None, requests.Session])
@pytest.mark.parametrize("headers", [{}, {"Set-Cookie": "a=b"}])
def test_a_redirect_is_an_answer_and_is_not_followed(
    factory: Callable[[], requests.Session] | None, headers: dict[str, str]
) -> None:
    reply = Reply(302, {"Location": "/elsewhere", **headers})
    with closing(Transport(factory)) as made, RecordingServer(reply) as server:
        assert made.post(request_to(server.url, key=KEY)).status == 302
        assert len(server.requests) == 1


def test_a_redirect_rejects_the_payload_with_a_session_of_the_users_too(
    make_sender: Callable[..., Sender],
) -> None:
    with RecordingServer(Reply(302, {"Location": "/elsewhere"})) as server:
        sender = make_sender(server.url, session_factory=requests.Session)
        sender.enqueue(Track.LOGS, {})
        assert sender.flush(5)
        assert sender.stats().dropped == {"rejected": 1}


@pytest.mark.parametrize("value", ["0", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_being_asked_to_come_back_at_once_brings_no_flood(value: str) -> None:
    config = SenderConfig()
    with RecordingServer(Reply(503, {"Retry-After": value})) as server:
        config.set_endpoint(Endpoint(server.url))
        sender = Sender(config, linger=0.01)
        sender.enqueue(Track.LOGS, {})
        server.wait_for(1)
        assert not sender.flush(0.3)
        assert len(server.requests) < 50
        sender.close(0.1)


@pytest.mark.parametrize("factory", [None, requests.Session])
def test_a_unix_socket_is_reached_whatever_the_session(
    factory: Callable[[], requests.Session] | None, short_dir: str
) -> None:
    path = f"{short_dir}/s"
    with closing(Transport(factory)) as made, RecordingServer(unix=path) as server:
        assert made.post(request_to(server.url)).status == 202
        (arrived,) = server.requests
        assert (arrived.path, arrived.headers["host"]) == ("/debugger/v2/input", "localhost")


def test_an_unknown_certificate_is_no_answer_and_shows_no_key(
    transport: Transport, server_tls: ssl.SSLContext
) -> None:
    with RecordingServer(tls=server_tls) as server:
        with pytest.raises(NoResponse, match="TLS") as raised:
            transport.post(request_to(server.url, key=KEY))
        assert KEY not in repr(raised.value)
        assert raised.value.__cause__ is None
        assert not server.requests
