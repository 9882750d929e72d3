"""The binary form of a stored request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_kinds import a_request

from livedebug_sender.forwarder.queue.stored_request import (
    DamagedRecord,
    NewerRecord,
    decode,
    decode_parts,
    encode,
    encode_envelope,
)

TEXTS = st.text(st.characters(max_codepoint=255))


@given(st.binary(), TEXTS, st.dictionaries(TEXTS, TEXTS), st.floats(0, 4e9), st.text(), st.text())
def test_what_is_decoded_is_what_was_encoded(body, query, headers, at, route, request_id):
    request = a_request(
        body, route, query=query, headers=headers, received_at=at, request_id=request_id
    )
    assert decode(encode(request)) == request
    assert decode_parts(encode_envelope(request), body) == request


def test_a_body_is_not_copied_where_it_is_kept_apart():
    request = a_request(b"x" * 1000)
    assert decode_parts(encode_envelope(request), request.body).body is request.body


def test_every_flipped_bit_is_noticed():
    encoded = encode(a_request(b"some body"))
    for place in range(len(encoded) * 8):
        damaged = bytearray(encoded)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedRecord):
            decode(bytes(damaged))


def test_every_cut_is_noticed():
    encoded = encode(a_request(b"some body"))
    for length in range(len(encoded)):
        with pytest.raises(DamagedRecord):
            decode(encoded[:length])


def test_a_later_version_is_told_from_damage():
    encoded = bytearray(encode(a_request()))
    encoded[8] = 2
    with pytest.raises(NewerRecord, match="version 2"):
        decode(bytes(encoded))


def test_nothing_captured_is_in_the_repr():
    request = a_request(b"captured", query="captured", headers={"X": "captured"})
    assert "captured" not in repr(request)
