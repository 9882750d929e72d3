"""The binary form of a stored request."""

from __future__ import annotations

import json
import struct
import zlib

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

# What can be in a head: a character for each byte, none that steers.
TEXTS = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))


@given(st.binary(), TEXTS, st.dictionaries(TEXTS, TEXTS), st.floats(0, 4e9), TEXTS, TEXTS)
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


FIXED = struct.Struct(">4sIB3xIQ")


def forged(head: object, body: bytes = b"[]") -> bytes:
    """A record with a head that this project never writes, and a checksum that matches."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    covered = FIXED.pack(b"LDQR", 0, 1, len(text), len(body))[8:]
    checksum = zlib.crc32(body, zlib.crc32(text, zlib.crc32(covered)))
    return FIXED.pack(b"LDQR", checksum, 1, len(text), len(body)) + text + body


@pytest.mark.parametrize(
    "head",
    [
        ["/r", "id", 1.0, "", ["a header"]],
        ["/r", "id", 1.0, "", {"A": 1}],
        ["/r", "id", 1.0, "", {"A": "b\r\nDD-API-KEY: another"}],
        ["/r", "id", 1.0, "", {"A\r\nB": "c"}],
        ["/r", "id", 1.0, "", {"A": "\u4e00"}],
        ["/r", "id", 1.0, "a\r\nb", {}],
        ["/r", "id\r\nB: c", 1.0, "", {}],
        [["/r"], "id", 1.0, "", {}],
        ["/r", "id", "now", "", {}],
        ["/r", "id", float("nan"), "", {}],
        ["/r", "id", 1e300, "", {}],
        b'["/r","id",' + b"9" * 400 + b',"",{}]',
        b"[" * 200_000,
        {"a": 1},
    ],
    ids=lambda head: f"{head!r:.40}",
)
def test_a_forged_record_is_a_damaged_one_and_raises_nothing_else(head):
    assert decode(forged(["/r", "id", 1.0, "", {}])).route == "/r"
    with pytest.raises(DamagedRecord):
        decode(forged(head))


@pytest.mark.parametrize(
    "name",
    ["Authorization", "X-Vault-Token", "X-Access-Token", "X-Client-Secret", "X-Own-Apikey"]
    + ["X-Own-Api-Key", "X-Password", "Cf-Access-Jwt-Assertion", "X-Goog-Iap-Jwt-Assertion"],
)
def test_a_header_that_sounds_like_a_credential_is_not_stored(name):
    kept = {
        "X-Datadog-Test-Session-Token": "t",
        "Content-Type": "application/json",
        "X-Tokens": "3",
    }
    assert a_request(headers={name: "secret-value", **kept}).headers == kept
