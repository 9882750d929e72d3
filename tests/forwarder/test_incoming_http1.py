"""A tracer's request from bytes: pure, whatever pieces they come in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedebug_sender.forwarder.server.http1 import (
    FIRST_ALLOCATION,
    ChunkedBody,
    RequestError,
    SizedBody,
    parse_head,
)


def no_reserve(size: int) -> None:
    pass


def head(*lines: str, first: str = "POST /a?b=c HTTP/1.1", host: str = "Host: x") -> bytes:
    return "\r\n".join([first, *([host] if host else []), *lines, "", ""]).encode("latin-1")


def refused(*lines: str, **more: str) -> int:
    with pytest.raises(RequestError) as raised:
        parse_head(head(*lines, **more))
    return raised.value.status


def test_a_head_becomes_what_wsgi_wants():
    parsed = parse_head(head("Content-Length: 12", "X-Own:  \xfc ", "X-Own: b", "Content-Type: t"))
    assert (parsed.method, parsed.path, parsed.query) == ("POST", "/a", "b=c")
    assert parsed.variables == {
        "HTTP_HOST": "x",
        "HTTP_X_OWN": "\xfc, b",
        "CONTENT_TYPE": "t",
        "CONTENT_LENGTH": "12",
    }
    assert (parsed.content_length, parsed.keep_alive, parsed.awaits_continue) == (12, True, False)


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("/%61b%00", "/ab\0", "x"),
        ("/a%2Fb%61", "/a%2Fb%61", "x"),
        ("http://other:1/p?q", "/p", "other:1"),
        ("HTTPS://other", "/", "other"),
        ("*", "*", "x"),
    ],
)
def test_a_target_is_decoded_and_an_absolute_one_names_the_host(target, path, host):
    parsed = parse_head(head(first=f"GET {target} HTTP/1.1"))
    assert (parsed.path, parsed.variables["HTTP_HOST"]) == (path, host)


@pytest.mark.parametrize(
    ("first", "line", "keep_alive"),
    [
        ("GET / HTTP/1.1", "", True),
        ("GET / HTTP/1.1", "Connection: x, CLOSE", False),
        ("GET / HTTP/1.0", "", False),
        ("GET / HTTP/1.0", "Connection: Keep-Alive", True),
    ],
)
def test_a_connection_is_kept_as_its_version_and_its_header_say(first, line, keep_alive):
    lines = (line,) if line else ()
    assert parse_head(head(*lines, first=first)).keep_alive is keep_alive


def test_a_name_with_an_underscore_is_left_out_and_takes_no_others_place():
    parsed = parse_head(head("X_Own: 1", "X-Own: 2"))
    assert parsed.variables == {"HTTP_HOST": "x", "HTTP_X_OWN": "2"}


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (("Content-Length: 1", "Content-Length: 1"), 400),
        (("Content-Length: 1_0",), 400),
        (("Content-Length: \xb2",), 400),
        (("Content-Length: " + "1" * 19,), 400),
        (("Transfer-Encoding: gzip, chunked",), 501),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 501),
        (("Transfer-Encoding:",), 501),
        (("Host: y",), 400),
        (("X-Own : 1",), 400),
        ((" folded",), 400),
        (("X: a\x01",), 400),
        (("X: a\nY: b",), 400),
        (("Expect: more",), 417),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(lines, status):
    assert refused(*lines) == status


def test_other_versions_and_a_missing_host_are_refused():
    assert refused(first="GET / HTTP/2.0") == 505
    assert refused(first="GET / HTTP/1.x") == 400
    assert refused(host="") == 400
    assert refused("Transfer-Encoding: chunked", first="POST / HTTP/1.0") == 400


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_a_head_or_an_error(data):
    status = 0
    try:
        parse_head(data + b"\r\n\r\n")
    except RequestError as error:
        status = error.status
    assert status in (0, 400, 417, 501, 505)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.lists(st.integers(0, 10_000), max_size=8),
    st.binary(max_size=20),
)
def test_chunks_come_out_whole_in_whatever_pieces_they_come(chunks, cuts, following):
    wire = b"".join(b"%X;x=y\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    wire += b"0\r\nTrailer: x\r\n\r\n"
    body = ChunkedBody(100_000, no_reserve)
    left = b""
    for piece in pieces_of(wire, cuts):
        assert not body.done
        left = body.feed(piece)
    assert body.done
    assert left == b""
    assert body.body.read() == b"".join(chunks)
    again = ChunkedBody(100_000, no_reserve)
    assert again.feed(wire + following) == following


def test_chunks_beyond_the_limit_are_refused_before_they_come():
    with pytest.raises(RequestError) as raised:
        ChunkedBody(100, no_reserve).feed(b"65\r\n")
    assert raised.value.status == 413
    body = ChunkedBody(100, no_reserve)
    for _ in range(16):  # one byte each, and five around it
        body.feed(b"1\r\nx\r\n")
    with pytest.raises(RequestError) as raised:
        body.feed(b"1\r\nx\r\n")
    assert raised.value.status == 413


def test_a_body_of_known_size_gets_memory_as_it_comes_and_is_read_without_a_copy():
    reserved: list[int] = []
    size = 4 * FIRST_ALLOCATION + 1
    body = SizedBody(size, b"ab", reserved.append)
    assert reserved == []
    while not body.done:
        with body.room() as room:
            count = min(len(room), 100_000)
            room[:count] = b"x" * count
        body.advance(count)
        assert sum(reserved) <= max(FIRST_ALLOCATION, 2 * body.received)
    assert sum(reserved) == size
    assert body.body.read() == b"ab" + b"x" * (size - 2)
    small = SizedBody(FIRST_ALLOCATION, b"", no_reserve)
    with small.room() as room:
        small_size = len(room)
    small.advance(small_size)
    assert small.done
    assert small.body.read() is small.body.getvalue()
