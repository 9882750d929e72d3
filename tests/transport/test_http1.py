from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import RawServer, RecordingServer

from livedebug_sender import Endpoint, Track
from livedebug_sender.protocol.payload import Upload
from livedebug_sender.protocol.request import Request, build_request
from livedebug_sender.transport.http1 import LeanResponse, request_head
from livedebug_sender.transport.transport import NoAnswer, Transport


class Wire:
    """What http.client needs of a socket: bytes that came."""

    def __init__(self, came: bytes) -> None:
        self._came = came

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._came)


CHUNKED = b"Transfer-Encoding: Chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
HEADS = [
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 202 Accepted\r\ncontent-length:5\r\nConnection: Close\r\n\r\nhello",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n" + HELLO,
    b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"Content-Length: 9\r\n\r\n" + HELLO,
    b"HTTP/1.1 200 OK\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 429 \r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.mark.parametrize("came", HEADS)
def test_an_answer_is_read_as_http_client_reads_it(came: bytes) -> None:
    plain = HTTPResponse(Wire(came), method="POST")  # type: ignore[arg-type]
    lean = LeanResponse(Wire(came), method="POST")  # type: ignore[arg-type]
    for response in (plain, lean):
        response.begin()
    for name in ("status", "version", "reason", "length", "chunked", "will_close"):
        assert getattr(lean, name) == getattr(plain, name), name
    assert lean.plain_headers.get("retry-after") == plain.headers.get("Retry-After")
    assert lean.read() == plain.read()
    assert lean.isclosed() == plain.isclosed()


def test_words_in_between_are_no_answer() -> None:
    came = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + HEADS[0]
    response = LeanResponse(Wire(came), method="POST")  # type: ignore[arg-type]
    response.begin()
    assert (response.status, response.read()) == (202, b"hello")


@pytest.mark.parametrize(
    "came",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nCut: her",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_raises(came: bytes) -> None:
    with pytest.raises(HTTPException):
        LeanResponse(Wire(came), method="POST").begin()  # type: ignore[arg-type]


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_an_error_that_is_known(tail: bytes) -> None:
    for came in (tail, b"HTTP/1.1 200 OK\r\n" + tail):
        response = LeanResponse(Wire(came), method="POST")  # type: ignore[arg-type]
        try:
            response.begin()
            response.read()
        except (HTTPException, ValueError, IncompleteRead):
            pass


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", b"a\rb", "a\r\n\r\nPOST / HTTP/1.1"])
def test_no_line_end_gets_into_a_head(value: Any) -> None:
    with pytest.raises(ValueError, match="line end"):
        request_head("POST", "/", {"A": value})


def upload(url: str, size: int = 10) -> Request:
    item = Upload(b"x" * size, "text/plain")
    return build_request(Endpoint(url + "/p"), "/p", Track.SYMDB, [item], "a:ü", {"X-Y": "z"})


def test_all_requests_on_a_connection_are_alike() -> None:
    transport = Transport()
    with RecordingServer() as server:
        for _ in range(3):
            assert transport.post(upload(server.url)).status == 202
        first, *others = server.posts
        assert len({arrived.connection for arrived in server.posts}) == 1
        for other in others:
            assert (other.path, other.body, other.headers) == (
                first.path,
                first.body,
                first.headers,
            )
    transport.close()


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 3_000_000])
def test_a_body_of_any_size_arrives_whole_on_a_kept_connection(size: int) -> None:
    transport = Transport()
    with RecordingServer() as server:
        for _ in range(2):
            assert transport.post(upload(server.url, size)).status == 202
        assert [arrived.body for arrived in server.posts] == [b"x" * size] * 2
    transport.close()


def test_a_server_that_hangs_up_after_each_answer_gets_a_connection_for_each() -> None:
    def answer(connection: Any, over: Any) -> None:
        connection.sendall(b"HTTP/1.1 202 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    transport = Transport()
    with RawServer(answer) as server:
        for _ in range(3):
            assert transport.post(upload(server.url)).status == 202
        assert server.connections == 3
    transport.close()


def test_nonsense_on_a_kept_connection_is_no_answer() -> None:
    answers = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"nonsense\r\n\r\n"])

    def answer(connection: Any, over: Any) -> None:
        connection.sendall(next(answers))
        connection.recv(100_000)
        connection.sendall(next(answers))

    transport = Transport()
    with RawServer(answer) as server:
        assert transport.post(upload(server.url)).status == 200
        with pytest.raises(NoAnswer):
            transport.post(upload(server.url))
    transport.close()
