"""Splits a stream of JSON into its values without decoding them.

Not by ijson, which decodes: the text of a value is sent unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Bytes that are read at a time.
CHUNK = 256 * 1024
#: The white space of JSON.
SPACE = b" \t\r\n"

# Up to the next bracket (and comma) outside of strings, or a string that continues in
# the next chunk; bounded, since each repetition takes memory.
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*(?:%s[^"\[\]{}]*){0,500}' % _STRING, re.DOTALL)
_TO_COMMA = re.compile(rb'[^"\[\]{},]*(?:%s[^"\[\]{},]*){0,500}' % _STRING, re.DOTALL)
_IN_STRING = re.compile(rb'\\.|\\\Z|"', re.DOTALL)


class JSONCutter:
    """Splits a stream of JSON into its top-level values, or those in its top-level arrays.

    It recognizes only brackets, commas and strings, and does not validate the pieces.

    Args:
        max_bytes: maximum size of a value; a larger one is skipped.
        lines: the number of lines before the stream.
    """

    def __init__(self, max_bytes: int, lines: int) -> None:
        self._lines = lines
        self._max_bytes = max_bytes
        #: Bytes fed so far.
        self.offset = 0
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._escaped = False
        # The current value; None once it is too large.
        self._value: bytearray | None = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The values that end in this chunk, each with the line where it starts.

        For one that is too large, None and the line where it ends.
        """
        self.offset += len(chunk)
        start = 0
        position = self._string_end(chunk, 0)
        while position < len(chunk):
            # Commas inside a value don't matter.
            inside = self._depth > self._in_array
            run = (_TO_BRACKET if inside else _TO_COMMA).match(chunk, position)
            at = run.end() if run else position
            position = at + 1
            byte = chunk[at:position]
            if byte == b'"':
                self._in_string = True
                position = self._string_end(chunk, position)
            elif byte and self._ends_value(byte):
                # A closing bracket belongs to its value; other delimiters are between values.
                self._keep(chunk[start : position if inside else at])
                start = position
                yield from self._take()
        self._keep(chunk[start:])

    def rest(self) -> str:
        """What is wrong at the end of the stream; empty if nothing is."""
        if self._depth or self._in_string or self._value is None:
            return "the file ends in the middle of a value"
        return "not a JSON object or array" if self._value.strip(SPACE) else ""

    def _string_end(self, chunk: bytes, position: int) -> int:
        """The end of the current string; that of the chunk if the string continues."""
        if not self._in_string:
            return position
        if self._escaped:
            position += 1
            self._escaped = False
        for token in _IN_STRING.finditer(chunk, position):
            if token[0] == b'"':
                self._in_string = False
                return token.end()
            self._escaped = token[0] == b"\\"
        return len(chunk)

    def _ends_value(self, byte: bytes) -> bool:
        """Update the depth for this bracket or comma; returns whether a value ends there."""
        top = int(self._in_array)
        if byte == b",":
            return self._depth == top
        if byte == b"[" and self._depth == 0:
            self._in_array = True
            self._depth = 1
            return True
        if byte in b"[{":
            self._depth += 1
            return False
        if self._depth == top:  # the end of the top-level array, or an extra bracket
            self._in_array = False
            self._depth = 0
            return True
        self._depth -= 1
        return self._depth == top

    def _keep(self, piece: bytes) -> None:
        self._lines += piece.count(b"\n")
        if self._value is not None:
            self._value += piece
            if len(self._value) > self._max_bytes + CHUNK:
                self._value = None

    def _take(self) -> Iterator[tuple[int, bytes | None]]:
        value, self._value = self._value, bytearray()
        text = b"" if value is None else bytes(value).lstrip(SPACE)
        line = 1 + self._lines - text.count(b"\n")
        text = text.rstrip(SPACE)
        if value is None or len(text) > self._max_bytes:
            yield line, None
        elif text:
            yield line, text
