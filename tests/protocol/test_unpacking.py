from __future__ import annotations

import gzip
import tracemalloc

import pytest

from livedebug_sender.protocol.unpacking import TooMuchUnpacked, unpacked

PLAIN = b'{"scopes": []}' * 100
PACKED = gzip.compress(PLAIN)


def test_gzip_is_opened_and_all_else_stays_as_it_is() -> None:
    assert unpacked(PACKED, len(PLAIN)) == PLAIN
    assert unpacked(PLAIN, 1) is PLAIN
    assert unpacked(b"", 0) == b""


def test_what_grows_by_one_byte_more_than_the_bound_is_too_much() -> None:
    with pytest.raises(TooMuchUnpacked, match=f"more than {len(PLAIN) - 1} bytes"):
        unpacked(PACKED, len(PLAIN) - 1)


def test_gigabytes_in_a_few_kilobytes_are_not_made() -> None:
    bomb = gzip.compress(bytes(2**26))
    tracemalloc.start()
    with pytest.raises(TooMuchUnpacked):
        unpacked(bomb, 2**16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("content", "why"),
    [(PACKED[:-1], "cut off"), (b"\x1f\x8b", "cut off"), (b"\x1f\x8bnothing", "can't be opened")],
    # The time is in what gzip packs: ids of it would differ from one process to the next.
    ids=["its last byte", "its head alone", "its head, then something else"],
)
def test_what_is_not_one_whole_gzip_is_said_to_be_so(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unpacked(content, 2**20)
