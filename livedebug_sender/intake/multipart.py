"""The parts of a multipart body, and gzip that can't grow without end."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

#: Bytes that a compressed part or body may grow to; it is opened in memory.
MOST_UNPACKED = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_MOST_PARTS = 1000


@dataclass(frozen=True)
class Part:
    name: str
    filename: str
    content: bytes


def parts_of(content_type: str, body: bytes) -> list[Part]:
    """The parts, gzip undone.

    Raises:
        ValueError: with what is wrong, in words.
    """
    mimetype, options = parse_options_header(content_type)
    if not options.get("boundary"):
        raise ValueError("multipart without a boundary in its Content-Type")
    parser = FormDataParser(
        stream_factory=lambda *_, **__: io.BytesIO(),
        max_form_memory_size=None,
        max_form_parts=_MOST_PARTS,
        silent=False,
    )
    try:
        _, fields, files = parser.parse(io.BytesIO(body), mimetype, len(body), options)
    except Exception as error:  # werkzeug raises ValueError, or an HTTP error for a limit
        raise ValueError(f"the multipart body can't be taken apart: {error}") from None
    parts = [Part(name, "", value.encode()) for name, value in fields.items(multi=True)]
    parts += [
        Part(name, file.filename or "", unpacked(file.read()))
        for name, file in files.items(multi=True)
    ]
    if not parts:
        raise ValueError("a multipart body without a part: does its boundary fit?")
    return parts


def unpacked(content: bytes) -> bytes:
    """The content, with gzip undone where it starts as gzip.

    Raises:
        ValueError: it is no whole gzip, or more than `MOST_UNPACKED`.
    """
    if not content.startswith(_GZIP):
        return content
    gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = gzip.decompress(content, MOST_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"gzip that can't be opened: {error}") from None
    if gzip.unconsumed_tail:
        raise ValueError(f"gzip of more than {MOST_UNPACKED} bytes")
    if not gzip.eof:
        raise ValueError("gzip that is cut off")
    return plain
