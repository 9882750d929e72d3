"""Which offsets of a partition are done, and how that is committed; no I/O.

Kafka commits one offset for a partition and a group: everything before it is done. But
requests are done in any order: if one that the intake can't accept now blocked the commit of
those after it, a crash would deliver all of them again. So the ranges that are done beyond the
committed offset are stored in the commit's metadata, a string of at most 4,096 bytes
(the brokers' ``offset.metadata.max.bytes``).
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterable, Iterator

#: Maximum bytes of metadata; the brokers' default limit is 4096.
MAX_METADATA = 4000
#: The start of the metadata, with the version of its format.
_MARK = "ldq1:"


class DoneOffsets:
    """The offsets of one partition that are done.

    Attributes:
        base: all before it are done.
        known_from: all before it may have been taken by an earlier consumer.
    """

    def __init__(self, base: int, metadata: str | None = None) -> None:
        self.base = base
        self.known_from = base
        # Disjoint, non-adjacent, sorted: [start, end) beyond `base`.
        self._starts: list[int] = []
        self._ends: list[int] = []
        for number, value in enumerate(_decoded(metadata or "", base)):
            if number == 0:
                self.known_from = value[0]
            else:
                self.add(*value)

    def __contains__(self, offset: int) -> bool:
        if offset < self.base:
            return True
        place = bisect_right(self._starts, offset) - 1
        return place >= 0 and offset < self._ends[place]

    def add(self, start: int, end: int) -> None:
        """Mark all from `start` to before `end` as done."""
        start = max(start, self.base)
        if start >= end:
            return
        first = bisect_right(self._ends, start - 1)  # the first that ends at `start` or later
        last = bisect_right(self._starts, end)  # after the last that begins at `end` or before
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        if start <= self.base:
            self.base = self._ends.pop(0)
            self._starts.pop(0)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """The ranges that are done beyond `base`, in order."""
        return zip(self._starts, self._ends, strict=True)

    def beyond(self) -> int:
        """The number of offsets done beyond `base`."""
        return sum(end - start for start, end in self.ranges())

    def metadata(self, taken_to: int) -> str:
        """Metadata for the commit of `base`. What does not fit comes twice after a crash.

        Args:
            taken_to: all before it may have been taken.
        """
        numbers = bytearray(_varint(max(0, taken_to - self.base)))
        at = self.base
        room = (MAX_METADATA - len(_MARK)) * 3 // 4 - 3
        for start, end in self.ranges():
            pair = _varint(start - at) + _varint(end - start)
            if len(numbers) + len(pair) > room:
                break
            numbers += pair
            at = end
        return _MARK + base64.b64encode(bytes(numbers)).decode("ascii")


def _decoded(metadata: str, base: int) -> Iterator[tuple[int, int]]:
    """First (taken_to, 0), then the ranges; nothing for metadata that is not ours."""
    if not metadata.startswith(_MARK):
        return
    try:
        numbers = list(_varints(base64.b64decode(metadata[len(_MARK) :], validate=True)))
    except (binascii.Error, ValueError):
        return
    if len(numbers) % 2 == 0:
        return
    yield base + numbers[0], 0
    at = base
    for gap, length in zip(numbers[1::2], numbers[2::2], strict=True):
        yield at + gap, at + gap + length
        at += gap + length


def _varint(number: int) -> bytes:
    """Seven bits per byte, the lowest first; the top bit means that more follow (LEB128)."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(encoded: Iterable[int]) -> Iterator[int]:
    number = shift = 0
    whole = True
    for byte in encoded:
        number |= (byte & 0x7F) << shift
        shift += 7
        whole = byte < 0x80
        if whole:
            yield number
            number = shift = 0
    if not whole:
        raise ValueError("the last number is truncated")
