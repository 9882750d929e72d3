"""Prunes a snapshot that is too large until it fits.

As in the tracers for Python and Java, captured values are replaced by ``{"pruned": true}``,
the least informative first: those where the capture stopped because of their depth, then the
deepest, then those not captured for another reason, then the largest. An object whose values
are all pruned counts as one where the capture stopped. Other objects less than five levels deep
are the structure of the snapshot (probe, stack, ...) and are kept.

The text is never decoded: objects are located and replaced in it, so everything else is byte
for byte what the tracer wrote, including numbers of any length and precision, and the depth is
not limited by the interpreter's stack. White space between tokens is removed first.

It is slow, about 0.1 s for 1 MB, so it runs on a worker thread.
"""

from __future__ import annotations

import heapq
import re

#: Objects at lower levels are the structure: snapshot, captures, lines, line, arguments.
_MIN_LEVEL = 5
_PRUNED = b'{"pruned":true}'

# Its end is optional, so that an unterminated string causes no backtracking.
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*(?P<end>")?'
_SPACE = re.compile(rb"(" + _STRING + rb")|[ \t\n\r]+", re.DOTALL)
#: The relevant tokens: the reason why a value was not captured, strings (which may contain
#: brackets), brackets.
_TOKEN = re.compile(
    rb'(?P<reason>"notCapturedReason":(?P<depth>"depth")?)|' + _STRING + rb"|[{}\[\]]",
    re.DOTALL,
)
_CLOSES = {b"}": b"{", b"]": b"["}


class _Object:
    """A JSON object in the text: its position, depth and size (bytes)."""

    __slots__ = ("children", "end", "level", "not_captured", "parent", "size", "start", "too_deep")

    def __init__(self, start: int, parent: _Object | None) -> None:
        self.start = start
        self.end = start
        self.parent = parent
        self.level: int = parent.level + 1 if parent else 0
        self.not_captured = False
        self.too_deep = False
        #: Its size after its direct child objects are pruned.
        self.size = 0
        #: The number of direct child objects that are not pruned.
        self.children = 0

    def __lt__(self, other: _Object) -> bool:
        return self._rank() > other._rank()  # heapq pops the smallest first

    def _rank(self) -> tuple[bool, int, bool, int]:
        return self.too_deep, self.level, self.not_captured, self.size


def prune(text: bytes, max_size: int) -> bytes | None:
    """A JSON text pruned to `max_size` bytes; None if that is impossible, or it is not JSON."""
    text = _SPACE.sub(rb"\1", text)
    leaves = _leaves(text)
    if leaves is None:
        return None
    pruned = _without(text, _choose(leaves, len(text), max_size))
    return pruned if len(pruned) <= max_size else None


def _leaves(text: bytes) -> list[_Object] | None:
    """The objects without child objects; None if brackets or quotes do not match."""
    leaves: list[_Object] = []
    brackets: list[bytes] = []
    current: _Object | None = None
    for token in _TOKEN.finditer(text):
        found = token[0]
        if found == b"{":
            if current is not None:
                current.children += 1
            current = _Object(token.start(), current)
            brackets.append(found)
        elif found == b"[":
            brackets.append(found)
        elif found in _CLOSES:
            if not brackets or brackets.pop() != _CLOSES[found]:
                return None
            if found == b"}" and current is not None:
                current.end = token.end()
                current.size = current.end - current.start
                if current.children == 0:
                    leaves.append(current)
                current = current.parent
        elif token["reason"] is None:
            if token["end"] is None:
                return None
        elif current is not None:
            current.not_captured = True
            current.too_deep = token["depth"] is not None
    return leaves if text[:1] in (b"{", b"[") and not brackets else None


def _choose(leaves: list[_Object], size: int, max_size: int) -> list[_Object]:
    """The objects to prune so that a text of `size` bytes fits, if possible."""
    chosen = []
    heap = [leaf for leaf in leaves if leaf.level >= _MIN_LEVEL]
    heapq.heapify(heap)
    while size > max_size and heap:
        cut = heapq.heappop(heap)
        left = min(cut.size, len(_PRUNED))
        if left < cut.size:  # pruning a smaller one would make it larger
            chosen.append(cut)
            size -= cut.size - left
        parent = cut.parent
        if parent is not None:
            parent.size -= cut.end - cut.start - left
            parent.children -= 1
            if parent.children == 0 and parent.level:
                parent.too_deep = parent.not_captured = True
                heapq.heappush(heap, parent)
    return chosen


def _without(text: bytes, cuts: list[_Object]) -> bytes:
    parts = []
    kept_from = 0
    for cut in sorted(cuts, key=lambda cut: cut.start):
        if cut.start >= kept_from:  # otherwise it is inside an object that is pruned
            parts += [text[kept_from : cut.start], _PRUNED]
            kept_from = cut.end
    return b"".join([*parts, text[kept_from:]])
