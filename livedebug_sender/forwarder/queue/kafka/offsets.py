"""What of a partition is done, and how that is committed: pure.

Kafka knows one offset for a partition and a group: all before it is done. Requests are
done in any order, though: one that the intake can't take now must not hold up the account
of those after it, else a crash would deliver all of them again. So the ranges that are done
beyond the committed offset travel in the commit's metadata, a text of 4,096 bytes at most
(the brokers' ``offset.metadata.max.bytes``).
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterable, Iterator

#: Bytes of metadata; the brokers' default limit is 4096.
MAX_METADATA = 4000
#: How the metadata begins; the form's version in it.
_MARK = "ldq1:"


class DoneOffsets:
    """The offsets of one partition that are done.

    Attributes:
        base: all before it are done.
        known_from: all before it may have been taken by somebody before.
    """

    def __init__(self, base: int, metadata: str | None = None) -> None:
        self.base = base
        self.known_from = base
        # Disjoint, not touching, in order: [start, end) beyond `base`.
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
        """All from `start` to before `end` are done."""
        start = max(start, self.base)
        if start >= end:
            return
        first = bisect_right(self._ends, start - 1)  # the first that ends at `start` or later
        last = bisect_right(self._starts, end)  # behind the last that begins at `end` or before
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        if start <= self.base:
            self.base = self._ends.pop(0)
            self._starts.pop(0)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """What is done beyond `base`, in order."""
        return zip(self._starts, self._ends, strict=True)

    def beyond(self) -> int:
        """How many are done beyond `base`."""
        return sum(end - start for start, end in self.ranges())

    def metadata(self, taken_to: int) -> str:
        """For the commit of `base`. What finds no place in it is delivered twice after a crash.

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
    """Seven bits a byte, the lowest first; the top bit says that more follow (LEB128)."""
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
        raise ValueError("the last number is cut")
