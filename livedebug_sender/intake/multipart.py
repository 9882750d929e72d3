"""Parses multipart bodies, and decompresses gzip within a budget."""

from __future__ import annotations

import io
from dataclasses import dataclass

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from ..protocol.unpacking import TooMuchUnpacked, unpacked

#: Maximum decompressed bytes of one request, for the body and all of its parts together. With a
#: limit for each part, a thousand parts could have a thousand times that.
MAX_UNPACKED = 32 * 1024 * 1024
_MAX_PARTS = 1000


@dataclass(frozen=True)
class Part:
    name: str
    filename: str
    content: bytes


class Unpacker:
    """Decompresses gzip, with one budget for everything."""

    def __init__(self, budget: int | None = None) -> None:
        self._budget = MAX_UNPACKED if budget is None else budget
        self._left = self._budget

    def unpack(self, content: bytes) -> bytes:
        """The content, decompressed if it starts like gzip.

        Raises:
            ValueError: the gzip is incomplete or invalid, or the budget is exhausted.
        """
        try:
            plain = unpacked(content, self._left)
        except TooMuchUnpacked:
            raise ValueError(f"gzip that grows to more than {self._budget} bytes") from None
        if plain is not content:
            self._left -= len(plain)
        return plain


def parts_of(content_type: str, body: bytes, unpacker: Unpacker) -> list[Part]:
    """The parts, decompressed.

    Raises:
        ValueError: the message says what is wrong.
    """
    mimetype, options = parse_options_header(content_type)
    if not options.get("boundary"):
        raise ValueError("multipart without a boundary in its Content-Type")
    parser = FormDataParser(
        stream_factory=lambda *_, **__: io.BytesIO(),
        max_form_memory_size=None,
        max_form_parts=_MAX_PARTS,
        silent=False,
    )
    try:
        _, fields, files = parser.parse(io.BytesIO(body), mimetype, len(body), options)
    except Exception as error:  # werkzeug raises ValueError, or an HTTP error for a limit
        raise ValueError(f"the multipart body can't be parsed: {error}") from None
    parts = [Part(name, "", value.encode()) for name, value in fields.items(multi=True)]
    parts += [
        Part(name, file.filename or "", unpacker.unpack(file.read()))
        for name, file in files.items(multi=True)
    ]
    if not parts:
        raise ValueError("the multipart body has no parts: does its boundary match?")
    return parts
