"""A symbol database upload: its event part, and its symbols."""

from __future__ import annotations

import json
from email import message_from_bytes
from email.message import Message
from typing import Any

from ..protocol.unpacking import unpacked
from ..units import MiB
from .findings import MAX_FINDINGS, Finding, check, shown

_EVENT = "event"
#: Bytes that a gzipped part may have when it is opened, in memory.
MAX_UNPACKED = 64 * MiB


def symdb_findings(body: bytes, content_type: str) -> list[Finding]:
    """What is odd about an upload; pointers begin with the name of the part.

    Args:
        content_type: of the upload; its boundary takes the body apart.
    """
    parts = _parts_of(body, content_type)
    if not parts:
        given = shown(content_type)
        return [Finding("", given, "multipart/form-data with a boundary, and its parts")]
    found = []
    if _EVENT not in parts:
        found.append(
            Finding(f"/{_EVENT}", "nothing", "a JSON part with ddsource, service and runtimeId")
        )
    for name, content in parts.items():
        found += _of_part(name, content, "symdb_event" if name == _EVENT else "symdb_scopes")
    if not any(name != _EVENT for name in parts):
        found.append(Finding("/file", "nothing", "a part with the symbols, JSON or gzipped JSON"))
    return found[:MAX_FINDINGS]


def _of_part(name: str, content: bytes, schema: str) -> list[Finding]:
    try:
        text = unpacked(content, MAX_UNPACKED)
    except ValueError as error:
        return [Finding(f"/{name}", str(error), "whole gzipped JSON")]
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return [Finding(f"/{name}", "not JSON", "JSON, or gzipped JSON")]
    return [
        Finding(f"/{name}{one.pointer}", one.given, one.expected) for one in check(value, schema)
    ]


def _parts_of(body: bytes, content_type: str) -> dict[str, bytes]:
    """The contents of the parts by name, as RFC 2046 (5.1.1) parts them; none for another body.

    The parser of `email` is for text: it would have to guess about the line ends in gzip.
    """
    boundary = _header("Content-Type", content_type).get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        return {}
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    _, *pieces = (b"\r\n" + body).split(delimiter)
    parts = {}
    for piece in pieces:
        if piece.startswith(b"--"):  # the closing delimiter
            break
        head, _, content = piece.partition(b"\r\n\r\n")
        name = message_from_bytes(head.strip()).get_param("name", header="Content-Disposition")
        parts[str(name)] = content
    return parts


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value
    return message
