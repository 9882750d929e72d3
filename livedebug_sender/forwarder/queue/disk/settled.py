"""Which requests of a table are done with, and how that is written down: pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

_ENTRY = struct.Struct(">QBII")
_CHECKSUM = struct.Struct(">I")


class Settled(NamedTuple):
    """One request that is done with.

    Args:
        segment: the number of its file.
        table: the number of its route in that file.
        row: its row there.
        size: its bytes, for the accounts.
    """

    segment: int
    table: int
    row: int
    size: int


def encode_settled(entries: Iterable[Settled]) -> bytes:
    packed = b"".join(_ENTRY.pack(*entry) for entry in entries)
    return _CHECKSUM.pack(zlib.crc32(packed)) + packed


def decode_settled(encoded: bytes) -> list[Settled] | None:
    """None if the bytes are damaged. They are then of no use: what they settled comes again."""
    packed = encoded[_CHECKSUM.size :]
    if len(encoded) < _CHECKSUM.size or len(packed) % _ENTRY.size:
        return None
    if _CHECKSUM.unpack_from(encoded)[0] != zlib.crc32(packed):
        return None
    return [Settled(*fields) for fields in _ENTRY.iter_unpack(packed)]


class RowSet:
    """A set of row numbers, a bit each, with its first gap at hand."""

    __slots__ = ("_bits", "_first_gap", "count")

    def __init__(self) -> None:
        self._bits = bytearray()
        self._first_gap = 1
        self.count = 0

    def add(self, row: int) -> bool:
        """False if it was there."""
        place, bit = row >> 3, 1 << (row & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(max(64, place + 1 - len(self._bits))))
        if self._bits[place] & bit:
            return False
        self._bits[place] |= bit
        self.count += 1
        return True

    def __contains__(self, row: int) -> bool:
        place = row >> 3
        return place < len(self._bits) and bool(self._bits[place] & 1 << (row & 7))

    def first_gap(self) -> int:
        """The lowest row, from 1 on, that is not there."""
        row = self._first_gap
        while row in self:
            if row & 7 == 0 and self._bits[row >> 3] == 0xFF:
                row += 8
            else:
                row += 1
        self._first_gap = row
        return row
