"""Answers that come before the request was read, or in pieces: over real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import requests
from sample_requests import request_to
from servers import EarlyServer, RawServer, RecordingServer, free_port

from livedebug_sender import Sender
from livedebug_sender.transport.response import NoResponse, TimedOut
from livedebug_sender.transport.transport import Transport

#: More than sockets take in while nobody reads.
LARGE = [b'{"a":"' + b"x" * 100_000 + b'"}'] * 150
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
def transport() -> Iterator[Transport]:
    with closing(Transport()) as made:
        yield made


@pytest.mark.parametrize("then", ["close", "stop", "linger"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("before", [b"", CONTINUE])
@pytest.mark.usefixtures("trusted")
def test_an_answer_that_comes_before_the_body_was_read_is_the_answer(
    transport: Transport, server_tls: ssl.SSLContext, then: str, scheme: str, before: bytes
) -> None:
    tls = server_tls if scheme == "https" else None
    with EarlyServer(before + TOO_LARGE, then, tls) as server:
        request = request_to(server.url, *LARGE, timeout=8)
        response = transport.post(request)
        assert (response.status, response.body) == (413, b"long")
        assert response.bytes_sent <= len(request.body)
        # Nobody reads the rest of the body: the connection is of no use any more.
        assert transport.post(request).status == 413
        assert server.connections == 2


@pytest.mark.waits
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.usefixtures("trusted")
def test_a_callers_session_hears_a_server_that_answers_and_stops_reading_too(
    server_tls: ssl.SSLContext, scheme: str
) -> None:
    # Not said to close: the connection has to be given up all the same.
    answer = TOO_LARGE.replace(b"Connection: close\r\n", b"")
    with (
        EarlyServer(answer, "stop", server_tls if scheme == "https" else None) as server,
        closing(Transport(requests.Session)) as transport,
    ):
        for number in (1, 2):
            response = transport.post(request_to(server.url, *LARGE, timeout=0.3))
            assert (response.status, response.body) == (413, b"long")
            assert server.connections == number


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.usefixtures("trusted")
def test_to_a_callers_session_a_server_that_only_stops_reading_is_a_timeout(
    server_tls: ssl.SSLContext, scheme: str
) -> None:
    with (
        EarlyServer(b"", "stop", server_tls if scheme == "https" else None) as server,
        closing(Transport(requests.Session)) as transport,
        pytest.raises(TimedOut),
    ):
        transport.post(request_to(server.url, *LARGE, timeout=0.1))


@pytest.mark.parametrize("session_factory", [None, requests.Session], ids=["own", "session"])
@pytest.mark.parametrize("then", ["close", "stop", "linger"])
def test_a_batch_refused_before_it_was_read_is_split_and_not_lost(
    make_sender: Callable[..., Sender],
    then: str,
    session_factory: Callable[[], requests.Session] | None,
) -> None:
    """A server that takes 1.5 MB, and says so before it reads more."""

    class Picky(EarlyServer):
        def serve(self, connection: socket.socket, reader: Any) -> None:
            while True:
                length = 0
                while (line := reader.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if not line:
                    return
                if length > 1_500_000:
                    connection.sendall(TOO_LARGE)
                    if then == "stop":
                        self.over.wait()
                    while then == "linger" and reader.read(65536):
                        pass
                    return
                reader.read(length)
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    with Picky(b"", then) as server:
        sender = make_sender(
            server.url, timeout=1.0, retry_for=5.0, session_factory=session_factory
        )
        for _ in range(30):
            assert sender.enqueue("logs", LARGE[0])
        assert sender.flush(20)
        assert sender.stats().delivered == 30
        assert sender.stats().retries == 0


def test_a_connection_cut_while_the_body_is_written_is_no_answer(transport: Transport) -> None:
    with EarlyServer(b"", "close") as server:
        request = request_to(server.url, *LARGE)
        with pytest.raises(NoResponse) as raised:
            transport.post(request)
        assert 0 < raised.value.bytes_sent < len(request.body)
        assert not raised.value.cut_after_body


def once(connection: socket.socket, over: threading.Event) -> None:
    """Answer the first request, and read no second one."""
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
    over.wait()


def test_a_body_that_is_not_read_in_time_is_a_timeout(transport: Transport) -> None:
    with RawServer(once) as server:
        transport.post(request_to(server.url))
        request = request_to(server.url, *LARGE, timeout=0.02)
        with pytest.raises(TimedOut) as raised:
            transport.post(request)
        assert 0 < raised.value.bytes_sent < len(request.body)


def test_informational_answers_may_come_at_any_time(transport: Transport) -> None:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        for _ in range(20):
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        connection.sendall(b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 202 Accepted\r\n")
        connection.sendall(b"Content-Length: 2\r\n\r\n{}")

    with RawServer(answer) as server:
        assert transport.post(request_to(server.url)).status == 202


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\ncut",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: nonsense\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000,
    ],
)
def test_a_success_is_one_whatever_becomes_of_the_answers_body(
    transport: Transport, answer: bytes
) -> None:
    with RawServer(lambda connection, _: connection.sendall(answer)) as server:
        assert transport.post(request_to(server.url)).status == 202
        with pytest.raises(NoResponse):
            transport.exchange(request_to(server.url), max_body=100_000)


def test_a_whole_answer_is_given_as_it_came(transport: Transport) -> None:
    answer = (
        b"HTTP/1.1 302 Found\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Encoding: gzip\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n\x1f\x8b\r\n1\r\nx\r\n0\r\n\r\n"
    )
    with RawServer(lambda connection, _: connection.sendall(answer)) as server:
        raw = transport.exchange(request_to(server.url), max_body=3)
    assert raw.status == 302
    assert raw.body == b"\x1f\x8bx"
    assert raw.headers == [
        ("Set-Cookie", "a"),
        ("set-cookie", "b"),
        ("Content-Encoding", "gzip"),
        ("Transfer-Encoding", "chunked"),
    ]


def test_a_body_that_is_too_long_is_no_whole_answer(transport: Transport) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong"
    with (
        RawServer(lambda connection, _: connection.sendall(answer)) as server,
        pytest.raises(NoResponse, match="more than 3 bytes"),
    ):
        transport.exchange(request_to(server.url), max_body=3)


def test_the_answer_brings_its_own_date_along(transport: Transport) -> None:
    answer = (
        b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    with RawServer(lambda connection, _: connection.sendall(answer)) as server:
        response = transport.post(request_to(server.url))
    assert response.retry_after == "7"
    assert response.date == "Mon, 01 Jan 2001 00:00:00 GMT"


def test_what_went_out_is_known_of_answers_and_of_failures(transport: Transport) -> None:
    with RecordingServer() as server:
        request = request_to(server.url, b'{"a":1}')
        assert transport.post(request).bytes_sent == len(request.body)
    with pytest.raises(NoResponse) as refused:
        transport.post(request_to(f"http://127.0.0.1:{free_port()}"))
    assert refused.value.bytes_sent == 0
    assert not refused.value.cut_after_body
    with RawServer(lambda connection, over: None) as server_that_cuts:
        with pytest.raises(NoResponse) as cut:
            transport.post(request_to(server_that_cuts.url, b'{"a":1}'))
        assert cut.value.bytes_sent == len(request.body)
        assert cut.value.cut_after_body
    with RawServer(once) as server_that_hangs:
        transport.post(request_to(server_that_hangs.url))
        with pytest.raises(TimedOut) as late:
            transport.post(request_to(server_that_hangs.url, timeout=0.1))
        assert late.value.bytes_sent == 4
        assert not late.value.cut_after_body
