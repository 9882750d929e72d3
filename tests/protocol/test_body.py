from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from livedebug_sender import Endpoint
from livedebug_sender.protocol.body import PIECE, Body, merge
from livedebug_sender.protocol.payload import Upload
from livedebug_sender.protocol.request import build_request
from livedebug_sender.protocol.tracks import Track

elements = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.none()))


@settings(max_examples=40)
@given(st.lists(elements | st.lists(elements), min_size=1))
def test_any_payloads_merge_into_the_array_of_all_their_elements(payloads: list[Any]) -> None:
    body = merge([json.dumps(p).encode() for p in payloads], multipart=False)
    flat = [e for p in payloads for e in (p if isinstance(p, list) else [p])]
    assert json.loads(b"".join(body) if isinstance(body, Body) else body) == flat


@given(st.lists(st.integers(2, PIECE), min_size=1, max_size=12))
def test_a_body_in_pieces_is_as_long_as_it_says_and_can_be_sent_again(sizes: list[int]) -> None:
    payloads = [b"{" + b" " * (size - 2) + b"}" for size in sizes]
    body = merge(payloads, multipart=True)
    if isinstance(body, Body):
        pieces = list(body)
        assert list(body) == pieces
        assert len(pieces) > 1 or len(sizes) == 1
        assert len(b"".join(pieces)) == len(body) > PIECE
    else:
        assert len(body) <= PIECE


def test_diagnostics_are_a_form_of_one_part() -> None:
    body = merge([b'[{"a":1}]'], multipart=True)
    assert body == (
        b"--------------------------44617461646f67\r\n"
        b'Content-Disposition: form-data; name="event"; filename="event.json"\r\n'
        b"Content-Type: application/json\r\n"
        b"\r\n"
        b'[{"a":1}]\r\n'
        b"--------------------------44617461646f67--\r\n"
    )


def test_the_headers_of_each_track_agentless_and_not() -> None:
    for track in Track:
        for key in (None, "k" * 32):
            endpoint = Endpoint("http://h", key, test_token="t-1")
            item = Upload(b"{}", "a/b") if track is Track.SYMDB else b"{}"
            request = build_request(endpoint, "/p", track, [item], "a:ü", {"X": "y"})
            headers = request.headers
            assert headers["User-Agent"] == "livedebug-sender/0.1.0"
            assert headers["X-Datadog-Test-Session-Token"] == "t-1"
            assert headers["X"] == "y"
            assert headers["Content-Length"] == str(len(request.body))
            assert headers.get("DD-API-KEY") == key
            origin = "agent-symdb" if track is Track.SYMDB else "agent-debugger"
            assert headers.get("DD-EVP-ORIGIN") == (origin if key else None)
            if track is Track.SYMDB:
                assert request.path == "/p"
                assert headers["X-Datadog-Additional-Tags"] == "a:ü".encode()
                assert headers["Content-Type"] == "a/b"
            else:
                assert request.path == "/p?ddtags=a%3A%C3%BC"
                assert "X-Datadog-Additional-Tags" not in headers
            if track in (Track.LOGS, Track.SNAPSHOTS):
                assert headers["Content-Type"] == "application/json"
            if track is Track.DIAGNOSTICS:
                boundary = "------------------------44617461646f67"
                assert headers["Content-Type"] == f"multipart/form-data; boundary={boundary}"


def test_without_tags_there_is_no_query_and_no_header_for_them() -> None:
    request = build_request(Endpoint("http://h"), "/p", Track.LOGS, [b"{}"], "", {})
    assert request.path == "/p"
    request = build_request(Endpoint("http://h"), "/p", Track.SYMDB, [Upload(b"{}", "a/b")], "", {})
    assert "X-Datadog-Additional-Tags" not in request.headers
