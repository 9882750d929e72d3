"""Parses multipart bodies."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message


def parts_of(body: bytes, content_type: str) -> dict[str, bytes]:
    """The contents of the parts by name (RFC 2046, 5.1.1); empty for another body.

    The parser of `email` is for text, and can't handle line ends in gzip reliably.
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
