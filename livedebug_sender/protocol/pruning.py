"""Cutting a snapshot that is too large down to what is allowed.

As the tracers for Python and Java do it: captured values are replaced by
``{"pruned": true}``, the least telling first: those at which the capture had stopped for
their depth, then the deepest, then those not captured for another reason, then the
largest. An object whose values are all pruned counts as one at which the capture had
stopped. What frames the snapshot (probe, stack, ...) is less than five deep and stays.

Pure, and not quick: for a worker thread.
"""

from __future__ import annotations

import heapq
import json
from typing import Any

#: Objects less deep are the frame of a snapshot: snapshot, captures, lines, line, arguments.
_SHALLOWEST = 5
_PRUNED = {"pruned": True}
_PRUNED_SIZE = len('{"pruned":true}')


class _Object:
    """A JSON object: where it hangs, how deep, how large (bytes when encoded)."""

    def __init__(
        self, holder: Any, key: Any, parent: _Object | None, value: dict[str, Any]
    ) -> None:
        self.holder = holder
        self.key = key
        self.parent = parent
        self.level: int = parent.level + 1 if parent else 0
        reason = value.get("notCapturedReason")
        self.not_captured = "notCapturedReason" in value
        self.too_deep = reason == "depth"
        self.size = 0
        #: Objects right in it that are not pruned.
        self.children = 0

    def __lt__(self, other: _Object) -> bool:
        return self._rank() > other._rank()  # a heap gives its smallest first

    def _rank(self) -> tuple[bool, int, bool, int]:
        return self.too_deep, self.level, self.not_captured, self.size


def prune(text: bytes, most: int) -> bytes | None:
    """The snapshots in a JSON text in at most `most` bytes; None if that can't be."""
    try:
        whole = [json.loads(text)]
        leaves: list[_Object] = []
        if isinstance(whole[0], list):
            size = 1 + max(1, len(whole[0]))
            size += sum(_measure(whole[0], n, None, leaves) for n in range(len(whole[0])))
        else:
            size = _measure(whole, 0, None, leaves)
        _cut(leaves, size, most)
        pruned = _encoded(whole[0])
    except (ValueError, RecursionError):
        return None
    return pruned if len(pruned) <= most else None


def _cut(leaves: list[_Object], size: int, most: int) -> None:
    heap = [leaf for leaf in leaves if leaf.level >= _SHALLOWEST]
    heapq.heapify(heap)
    while size > most and heap:
        cut = heapq.heappop(heap)
        cut.holder[cut.key] = _PRUNED
        saved = cut.size - _PRUNED_SIZE
        size -= saved
        parent = cut.parent
        if parent is not None:
            parent.children -= 1
            if parent.children == 0 and parent.level:
                parent.too_deep = parent.not_captured = True
                heapq.heappush(heap, parent)
        while parent is not None:
            parent.size -= saved
            parent = parent.parent


def _measure(holder: Any, key: Any, parent: _Object | None, leaves: list[_Object]) -> int:
    """Bytes of ``holder[key]``; the objects without others in them go to `leaves`."""
    value = holder[key]
    if isinstance(value, list):
        inside = sum(_measure(value, n, parent, leaves) for n in range(len(value)))
        return inside + 1 + max(1, len(value))
    if not isinstance(value, dict):
        return len(_encoded(value))
    node = _Object(holder, key, parent, value)
    if parent is not None:
        parent.children += 1
    inside = sum(len(_encoded(k)) + 1 + _measure(value, k, node, leaves) for k in value)
    node.size = inside + 1 + max(1, len(value))
    if node.children == 0:
        leaves.append(node)
    return node.size


def _encoded(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")
