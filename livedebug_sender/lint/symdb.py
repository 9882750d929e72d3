"""A symbol database upload: its event part, and its symbols."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..protocol.unpacking import unpacked
from ..units import MiB
from .findings import MAX_FINDINGS, Finding, check, shown
from .multipart import parts_of

_EVENT = "event"
#: Members that both parts have, by their names in the event part.
_SAME = {"uploadId": "upload_id", "batchNum": "batch_num"}
#: Maximum decompressed bytes of a gzipped part, in memory.
MAX_UNPACKED = 64 * MiB


def symdb_findings(body: bytes, content_type: str) -> list[Finding]:
    """The findings in an upload; pointers start with the name of the part.

    Args:
        content_type: of the upload, with the boundary of its parts.
    """
    parts = parts_of(body, content_type)
    if not parts:
        given = shown(content_type)
        return [Finding("", given, "multipart/form-data with a boundary, and its parts")]
    found = []
    if _EVENT not in parts:
        found.append(
            Finding(f"/{_EVENT}", "nothing", "a JSON part with ddsource, service and runtimeId")
        )
    values: dict[str, Any] = {}
    for name, content in parts.items():
        try:
            values[name] = _value_of(content)
        except _UnreadableError as error:
            found.append(Finding(f"/{name}", error.given, error.expected))
            continue
        schema = "symdb_event" if name == _EVENT else "symdb_scopes"
        found += [
            Finding(f"/{name}{one.pointer}", one.given, one.expected)
            for one in check(values[name], schema)
        ]
    if not any(name != _EVENT for name in parts):
        found.append(Finding("/file", "nothing", "a part with the symbols, JSON or gzipped JSON"))
    found += _disagreements(values)
    return found[:MAX_FINDINGS]


class _UnreadableError(ValueError):
    """A part's content is not JSON."""

    def __init__(self, given: str, expected: str) -> None:
        super().__init__(given)
        self.given = given
        self.expected = expected


def _value_of(content: bytes) -> Any:
    try:
        text = unpacked(content, MAX_UNPACKED)
    except ValueError as error:
        raise _UnreadableError(str(error), "whole gzipped JSON") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _UnreadableError("not JSON", "JSON, or gzipped JSON") from None


def _disagreements(values: dict[str, Any]) -> Iterator[Finding]:
    """The findings where the symbols name another upload or batch than the event part does."""
    event = values.get(_EVENT)
    for name, symbols in values.items():
        if name == _EVENT or not (isinstance(event, dict) and isinstance(symbols, dict)):
            continue
        for theirs, ours in _SAME.items():
            if theirs in event and ours in symbols and event[theirs] != symbols[ours]:
                expected = f"{shown(event[theirs])}, as the event part's {theirs}"
                yield Finding(f"/{name}/{ours}", shown(symbols[ours]), expected)
