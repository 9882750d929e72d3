"""HTTP/1.1 as bytes: no sockets here."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedebug_sender.transport.http1 import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_INFORMATIONAL,
    IncompleteResponse,
    ProtocolError,
    ResponseReader,
    request_head,
)

CHUNKED = b"Transfer-Encoding: Chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
#: What came, and whether the connection may be used again.
WHOLE = [
    (OK + b"Content-Length: 5\r\n\r\nhello", True),
    (OK + b"content-length:5\r\n\r\nhello", True),
    (OK + b"Content-Length: 5\r\nContent-Length: 5, 5\r\n\r\nhello", True),
    (OK + b"Content-Length: 5\r\nConnection: x, Close\r\n\r\nhello", False),
    (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", True),
    (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", True),
    (OK + CHUNKED + b"\r\n" + HELLO, True),
    (OK + CHUNKED + b"\r\n1;a=b\r\nh\r\n4 \r\nello\r\n000\r\nT: x\r\n\r\n", True),
    (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + HELLO, True),
    (OK + CHUNKED + b"Content-Length: 9\r\n\r\n" + HELLO, False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CHUNKED + b"\r\n" + HELLO, False),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * 3 + OK + CHUNKED + b"\r\n" + HELLO, True),
]
#: Those whose body ends with the connection.
UNTIL_THE_END = [
    OK + b"\r\nhello",
    OK + b"Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
]


def feed(reader: ResponseReader, came: bytes, size: int = 0) -> None:
    """Feed it with all of it, `size` bytes at a time (0: at once)."""
    for start in range(0, len(came), size or len(came)):
        reader.feed(came[start : start + (size or len(came))])


def read(
    came: bytes, size: int = 0, *, max_body: int = 1000, ended: bool = False
) -> ResponseReader:
    reader = ResponseReader(max_body)
    feed(reader, came, size)
    if ended:
        reader.feed(b"")
    return reader


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
@pytest.mark.parametrize(("came", "reusable"), WHOLE)
def test_an_answer_is_whole_with_its_last_byte_however_it_comes(
    came: bytes, reusable: bool, size: int
) -> None:
    reader = read(came, size)
    assert reader.complete
    assert reader.reusable is reusable
    assert reader.response().status == 200
    assert reader.response().body == b"hello"
    short = read(came[:-1], size)
    assert not short.complete
    with pytest.raises(IncompleteResponse):
        short.feed(b"")


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("came", UNTIL_THE_END)
def test_a_body_without_a_length_ends_with_the_connection(came: bytes, size: int) -> None:
    assert not read(came, size).complete
    reader = read(came, size, ended=True)
    assert reader.complete
    assert not reader.reusable
    assert reader.response().body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("more", [b"", b"Content-Length: 9\r\n", CHUNKED])
def test_some_answers_have_no_body_whatever_they_say(status: int, more: bytes) -> None:
    reader = read(b"HTTP/1.1 %d X\r\n%s\r\n" % (status, more))
    assert reader.complete
    assert reader.reusable
    assert reader.response().body == b""


def test_an_answer_to_head_or_connect_has_no_body() -> None:
    reader = ResponseReader(10, head_only=True)
    assert reader.feed(OK + b"Content-Length: 9\r\n\r\n")
    assert reader.reusable
    assert not reader.surplus


def test_header_lines_are_given_as_they_came() -> None:
    reader = read(
        OK + b"Set-Cookie: a=b\r\nX-Empty:\r\nset-cookie: \tc=\xfc \r\nContent-Length: 0\r\n\r\n"
    )
    response = reader.response()
    assert response.headers == [
        ("Set-Cookie", "a=b"),
        ("X-Empty", ""),
        ("set-cookie", "c=ü"),
        ("Content-Length", "0"),
    ]
    assert response.header("set-cookie") == "a=b"
    assert response.header("x-other") is None


def test_a_folded_header_line_is_one() -> None:
    reader = read(OK + b"X: a \r\n  b\r\n\tc\r\nContent-Length: 0\r\n\r\n")
    assert reader.response().headers[0] == ("X", "a b c")
    assert reader.complete


def test_what_follows_an_answer_is_not_the_next_one() -> None:
    reader = read(OK + b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert reader.complete
    assert reader.surplus
    assert not reader.reusable


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    "came",
    [
        b"nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH",
        b"<html>of HTTP/0.9",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 020 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INFORMATIONAL + 1),
        OK + b"A: " + b"b" * MAX_HEAD + b"\r\n\r\n",
        OK + b"A: b\r\n" * (MAX_HEAD // 6 + 1),
    ],
)
def test_what_is_no_answer_has_no_status(came: bytes, size: int) -> None:
    reader = ResponseReader(1000)
    with pytest.raises(ProtocolError):
        feed(reader, came, size)
    assert reader.status is None


@pytest.mark.parametrize(
    "head",
    [
        b"A: b\r\n" * (MAX_HEADERS + 1),
        b"no colon\r\n",
        b"space : x\r\n",
        b"bad name: x\r\n",
        b" folded: first\r\n",
        b"X: a\r\n b\x00\r\n",
        b"X: a\rb\r\n",
        b"X: a\x00b\r\n",
        b": x\r\n",
        b"Content-Length: nonsense\r\n",
        b"Content-Length: -3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 3_0\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: " + b"9" * 30 + b"\r\n",
        "Content-Length: ٣\r\n".encode(),
    ],
)
def test_a_head_that_can_not_be_read_is_a_fault_with_a_status(head: bytes) -> None:
    reader = ResponseReader(1000)
    with pytest.raises(ProtocolError):
        reader.feed(OK + head + b"\r\n")
    assert reader.status == 200
    assert reader.response().body == b""
    assert not reader.reusable


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"5\r\nhelloo\r\n",
        b"f" * 16 + b"\r\n",
        b"5;" + b"x" * 5000,
        (b"1;" + b"x" * 4000 + b"\r\na\r\n") * 20,
        b"0\r\n" + b"Trailer: x\r\n" * 6000,
    ],
)
def test_chunks_that_can_not_be_read_are_a_fault(body: bytes, size: int) -> None:
    reader = ResponseReader(1000)
    reader.feed(OK + CHUNKED + b"\r\n")
    with pytest.raises(ProtocolError):
        feed(reader, body, size)
    assert reader.status == 200


def test_many_small_chunks_are_read() -> None:
    came = OK + CHUNKED + b"\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    assert read(came, 1000, max_body=50_000).response().body == b"x" * 50_000


def test_a_body_in_small_chunks_takes_no_more_memory_than_its_bound() -> None:
    reader = ResponseReader(100_000)
    reader.feed(OK + CHUNKED + b"\r\n")
    tracemalloc.start()
    try:
        for _ in range(50):
            reader.feed(b"2\r\nxy\r\n" * 1000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 200_000
    assert reader.response().body == b"xy" * 50_000


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    "came",
    [
        OK + b"Content-Length: 10\r\n\r\n0123456789",
        OK + CHUNKED + b"\r\n3\r\n012\r\n7\r\n3456789\r\n0\r\n\r\n",
        OK + b"\r\n0123456789",
    ],
)
def test_a_body_is_kept_up_to_its_bound_and_read_no_further(came: bytes, size: int) -> None:
    fits = read(came, size, max_body=10)
    assert not fits.oversized
    assert fits.response().body == b"0123456789"
    reader = read(came, size, max_body=9)
    assert reader.complete
    assert reader.oversized
    assert not reader.reusable
    assert reader.response().body == b"012345678"


def test_an_end_before_any_answer_is_told_from_one_in_the_middle() -> None:
    reader = ResponseReader(10)
    with pytest.raises(IncompleteResponse, match="before an answer"):
        reader.feed(b"")
    assert not reader.started
    reader.feed(OK)
    assert reader.started
    with pytest.raises(IncompleteResponse, match="in the middle"):
        reader.feed(b"")
    with pytest.raises(IncompleteResponse):
        reader.response()


def outcome(pieces: list[bytes]) -> Any:
    reader = ResponseReader(100)
    try:
        for piece in pieces:
            if reader.feed(piece):
                break
        else:
            reader.feed(b"")
    except ProtocolError as error:
        return type(error), reader.status
    return reader.response(), reader.oversized


lines = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n", b"HTTP/1.0 404 N\r\n", b"HTTP/1.1 204 N\n",
        b"Content-Length: 3\r\n", b"Content-Length: x\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n", b" fold\r\n", b"\r\n", b"\n", b"3\r\n", b"abc\r\n", b"0\r\n",
        b"200\r\n", b"x" * 120,
    ]
)  # fmt: skip


@given(st.lists(lines, max_size=12).map(b"".join) | st.binary(max_size=200), st.data())
def test_how_the_bytes_are_cut_changes_nothing(came: bytes, data: st.DataObject) -> None:
    for whole in (came, OK + came):
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=8)))
        edges = [0, *cuts, len(whole)]
        pieces = [whole[a:b] for a, b in pairwise(edges) if a < b]
        expected = outcome([whole] if whole else [])
        assert outcome(pieces) == expected
        assert outcome([whole[n : n + 1] for n in range(len(whole))]) == expected


@given(
    st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    st.lists(
        st.tuples(
            st.from_regex(r"X-[A-Za-z0-9-]{1,10}", fullmatch=True),
            st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=20),
        ),
        max_size=10,
    ),
    st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    st.sampled_from(["length", "chunked", "end"]),
    st.integers(1, 60),
)
def test_every_answer_is_read_as_it_was_written(
    status: int, headers: list[tuple[str, str]], body: list[bytes], framing: str, size: int
) -> None:
    told = list(headers)
    written = b"".join(body)
    if framing == "length":
        told.append(("Content-Length", str(len(written))))
    if framing == "chunked":
        told.append(("Transfer-Encoding", "chunked"))
        written = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"
    head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in told)
    came = head.encode("latin-1") + b"\r\n" + written
    reader = read(came, size, ended=framing == "end")
    assert reader.complete
    assert reader.response() == (status, told, b"".join(body))


def test_a_request_head_has_its_lines_in_order() -> None:
    head = request_head("POST", "/p?q", "h:1", {"A": "ü", "B": "ü".encode()})
    assert head == (
        b"POST /p?q HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: h:1\r\n"
        b"A: \xfc\r\nB: \xc3\xbc\r\n\r\n"
    )
    assert b"identity" not in request_head("POST", "/", "h", {"Accept-Encoding": "gzip"})


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", b"a\rb", "a\r\n\r\nPOST / HTTP/1.1"])
@pytest.mark.parametrize("where", ["header", "target", "host"])
def test_no_line_end_gets_into_a_head(value: Any, where: str) -> None:
    text = value if isinstance(value, str) else value.decode()
    given: dict[str, Any] = {"target": "/", "host": "h", "headers": {}}
    given |= {"headers": {"A": value}} if where == "header" else {where: text}
    with pytest.raises(ValueError, match="line end"):
        request_head("POST", **given)
