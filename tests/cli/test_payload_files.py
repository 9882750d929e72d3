from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livedebug_sender.cli import json_cutter, payload_files
from livedebug_sender.cli.json_cutter import JSONCutter
from livedebug_sender.cli.payload_files import Found, payloads_in

MAX = 1024 * 1024


def found_in(text: bytes, max_bytes: int = MAX) -> list[Found]:
    return list(payloads_in(io.BytesIO(text), max_bytes))


def values(text: bytes) -> list[Any]:
    found = found_in(text)
    assert [one.problem for one in found] == [""] * len(found)
    return [json.loads(one.payload) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b" \n ", []),
        (b"[]", []),
        (b"{}", [{}]),
        (b'{"a": 1}', [{"a": 1}]),
        (b'{\n "a": [1, {"b": 2}]\n}\n', [{"a": [1, {"b": 2}]}]),
        (b'[{"a": 1}, {"b": [2]}]', [{"a": 1}, {"b": [2]}]),
        (b'{"a": 1}\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        (b'{"a": 1}\r\n\r\n{"b": 2}', [{"a": 1}, {"b": 2}]),
        (b'[{"a": 1}]\n[{"b": 2}]\n', [{"a": 1}, {"b": 2}]),
        (b'[[{"a": 1}, {}], {"b": 2}]', [[{"a": 1}, {}], {"b": 2}]),
        (b'\xef\xbb\xbf[{"a": 1}]', [{"a": 1}]),
        (b'\n\n  [{"a": 1}]', [{"a": 1}]),
        (rb'[{"a": "}]\",{\\"}, {"\\\\": "["}]', [{"a": '}]",{\\'}, {"\\\\": "["}]),
    ],
)
def test_payloads_are_found_in_json_and_json_lines(text: bytes, expected: list[Any]) -> None:
    assert values(text) == expected


TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
PAYLOADS = st.lists(
    st.dictionaries(TEXT, JSON, max_size=3) | st.lists(JSON, min_size=1, max_size=3), max_size=4
)


@settings(max_examples=40)
@given(PAYLOADS, st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_an_array_is_cut_into_its_elements_wherever_the_chunks_end(
    payloads: list[Any], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(payloads, indent=indent, ensure_ascii=ascii_only).encode()
    cutter = JSONCutter(MAX, 0)
    cut = []
    for start in range(0, len(text), chunk):
        cut += [piece for _, piece in cutter.feed(text[start : start + chunk])]
    assert [json.loads(piece or b"?") for piece in cut] == payloads
    assert cutter.rest() == ""


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (b'{"a": 1}\n{"b":\n{"c": 3}', [("line 2", "not JSON")]),
        (b'{"a": 1}\n17\n', [("line 2", "not a JSON object or array")]),
        (b'{"a": 1}\n{"b": NaN}\n', [("line 2", "NaN")]),
        (b'{"a": 1}\n{"b": "\xff"}\n', [("line 2", "not UTF-8")]),
        (
            b'[{"a": 1}, 3, {"b" 2}, {}]',
            [("payload 2", "not a JSON object"), ("payload 3", "not JSON")],
        ),
        (b'[{"a": 1}, {"b": ', [("after payload 1", "ends in the middle")]),
        (b'[{"a": "x', [("after payload 0", "ends in the middle")]),
        (b"hello", [("after payload 0", "not a JSON object or array")]),
        (b'{"a":1}\n' + b'{"a":' * 100_000 + b"\n", [("line 2", "nested")]),
    ],
)
def test_what_is_no_payload_is_said_with_its_place(
    text: bytes, places: list[tuple[str, str]]
) -> None:
    wrong = [one for one in found_in(text) if one.problem]
    assert [one.place for one in wrong] == [place for place, _ in places]
    for one, (_, problem) in zip(wrong, places, strict=True):
        assert problem in one.problem


def test_what_is_too_large_is_passed_over_in_lines() -> None:
    large = b'{"x": "' + b"x" * 900_000 + b'"}'
    found = found_in(b'{"a": 1}\n' + large + b'\n{"b": 2}\n', max_bytes=1000)
    assert [(one.place, bool(one.problem)) for one in found] == [
        ("line 1", False),
        ("line 2", True),
        ("line 3", False),
    ]
    assert "larger than 1,000 bytes" in found[1].problem


def test_what_is_too_large_is_passed_over_in_an_array() -> None:
    large = b'{"x": "' + b"\\\\" * 500_000 + b'"}'
    found = found_in(b'[{"a": 1}, ' + large + b', {"b": 2}]', max_bytes=1000)
    assert [bool(one.problem) for one in found] == [False, True, False]
    assert json.loads(found[2].payload) == {"b": 2}


@pytest.mark.parametrize(
    "text",
    [
        b'\n\n{"a": 1}\n\n{"a":1}\n',
        b'[\n\n{"a":\n 1},\n{"a":1}]',
        b'\n\n[{"a":\n 1},\n{"a":1\n}\n]',
    ],
)
def test_each_payload_has_the_line_in_which_it_begins(text: bytes) -> None:
    assert [one.line for one in found_in(text)] == [3, 5]


def test_the_offset_says_how_far_it_got() -> None:
    text = b'{"a": 1}\n{"b": 2}\n'
    assert [one.offset for one in found_in(text)] == [9, 18]


class Endless(io.RawIOBase):
    """A file of so many bytes that repeats a piece."""

    def __init__(self, head: bytes, piece: bytes, length: int) -> None:
        self._head = head
        self._piece = piece * (65536 // len(piece))
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            return 0
        data = self._head or self._piece
        self._head = b""
        taken = data[: len(buffer)]
        assert len(taken) == len(data), "the buffer is larger than a piece"
        buffer[: len(taken)] = taken
        self._left -= len(taken)
        return len(taken)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"[", b'{"message": "hello, {world}"},'),
        (b"", b'{"message": "hello"}\n'),
        (b'[{"x": "', b"one string without an end "),
        (b"[{", b'"x": [['),
        (b'{"x": "', b"one line without an end "),
    ],
)
def test_a_file_of_any_length_takes_the_memory_of_a_payload(
    monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    for module in (json_cutter, payload_files):
        monkeypatch.setattr(module, "CHUNK", 16 * 1024)
    file = io.BufferedReader(Endless(head, piece, 200_000), 1 << 17)
    tracemalloc.start()
    try:
        for _ in payloads_in(file, 20_000):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150_000
