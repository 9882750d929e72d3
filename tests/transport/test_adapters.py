"""Requests by a session of the caller's."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests
import responses
from network_servers import Proxy
from sample_data import KEY
from sample_requests import request_to
from servers import RawServer, RecordingServer, Reply, cut, free_port, hang, socket_file

from livedebug_sender.transport.response import MAX_ANSWER, NoResponse, TimedOut
from livedebug_sender.transport.transport import Transport


@pytest.fixture
def transport() -> Iterator[Transport]:
    with closing(Transport(requests.Session)) as made:
        yield made


def test_an_answer_is_given_as_by_our_own_connections(transport: Transport) -> None:
    headers = {"Retry-After": "7"}
    with RecordingServer(Reply(503, headers, b"x" * 10_000)) as server:
        request = request_to(server.url, key=KEY)
        response = transport.post(request)
        assert (response.status, response.retry_after) == (503, "7")
        assert response.body == b"x" * MAX_ANSWER
        assert response.date
        assert response.bytes_sent == len(request.body)
        assert server.posts[0].headers["dd-api-key"] == KEY


def test_without_a_connection_nothing_was_sent(transport: Transport) -> None:
    with pytest.raises(NoResponse, match="connection refused") as raised:
        transport.post(request_to(f"http://127.0.0.1:{free_port()}", key=KEY))
    assert raised.value.bytes_sent == 0
    assert KEY not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_an_answer_that_does_not_come_or_not_wholly_is_none(transport: Transport) -> None:
    with RawServer(hang) as server, pytest.raises(TimedOut) as raised:
        transport.post(request_to(server.url, timeout=0.2))
    assert raised.value.bytes_sent in (0, 4)  # the connection may have taken the time
    with RawServer(lambda connection, over: None) as server, pytest.raises(NoResponse) as raised:
        transport.post(request_to(server.url))
    assert raised.value.bytes_sent == 4


def test_a_name_a_certificate_or_a_proxy_that_is_no_good_is_named(
    transport: Transport, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoResponse, match="no such host"):
        transport.post(request_to("http://no-such-host.invalid"))
    with RecordingServer(tls=server_tls) as server:
        with pytest.raises(NoResponse, match="certificate can't be verified") as raised:
            transport.post(request_to(server.url))
        assert raised.value.bytes_sent == 0
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NoResponse, match="proxy can't be reached"):
        transport.post(request_to("http://intake.test"))


def test_the_environment_is_read_once(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingServer() as server, Proxy() as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        transport.post(request_to(server.url))
        monkeypatch.delenv("HTTP_PROXY")
        transport.post(request_to(server.url))
        assert len(proxy.forwarded) == 2


def test_a_whole_answer_is_whole_or_none(transport: Transport) -> None:
    with RecordingServer(Reply(418, {"X-A": "b"}, b"tea")) as server:
        raw = transport.exchange(request_to(server.url), max_body=3)
        assert (raw.status, raw.body, raw.header("x-a")) == (418, b"tea", "b")
        with pytest.raises(NoResponse, match="more than 2 bytes"):
            transport.exchange(request_to(server.url), max_body=2)
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"
    with RawServer(lambda connection, _: connection.sendall(short)) as server:
        with pytest.raises(NoResponse):
            transport.exchange(request_to(server.url), max_body=100)
        assert transport.post(request_to(server.url)).status == 200


def test_what_a_session_does_not_understand_is_no_answer(transport: Transport) -> None:
    with responses.RequestsMock() as mock:
        mock.post("http://agent.test/debugger/v2/input", body=ValueError("secret words"))
        with pytest.raises(NoResponse, match="ValueError") as raised:
            transport.post(request_to("http://agent.test"))
    assert "secret" not in str(raised.value)


def test_after_an_abort_nothing_is_sent(transport: Transport) -> None:
    with RecordingServer() as server:
        transport.abort()
        with pytest.raises(NoResponse):
            transport.post(request_to(server.url))
        assert server.requests == []


def test_a_unix_sockets_faults_are_those_of_our_own_connections(
    transport: Transport, short_dir: str
) -> None:
    path = socket_file(short_dir)
    with pytest.raises(NoResponse, match="no such file"):
        transport.post(request_to(f"unix://{path}"))
    with RecordingServer(Reply(413, body=b"long"), unix=path) as server:
        response = transport.post(request_to(server.url, b"[1]"))
        assert (response.status, response.body) == (413, b"long")
        assert server.elements() == [1]


def test_an_answer_cut_in_its_head_may_be_one_to_a_session(transport: Transport) -> None:
    """`http.client` takes the end of the connection for that of the headers."""
    with RawServer(cut) as server:
        assert transport.post(request_to(server.url)).status == 202


def test_an_answer_that_is_compressed_is_left_so(transport: Transport) -> None:
    """A few kilobytes of it could grow to gigabytes."""
    compressed = gzip.compress(b"x" * 1_000_000)
    with RecordingServer(Reply(200, {"Content-Encoding": "gzip"}, compressed)) as server:
        assert transport.post(request_to(server.url)).body == compressed
