"""A stream of JSON, cut into its values without being decoded: pure.

Not by ijson, which decodes: the text of a value is to be sent as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Bytes that are read at once.
CHUNK = 256 * 1024
#: The white space of JSON.
SPACE = b" \t\r\n"

# Up to the next bracket (and comma) that is in no string, or a string that goes on in
# the next chunk; with a bound, since each repetition takes memory.
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*(?:%s[^"\[\]{}]*){0,500}' % _STRING, re.DOTALL)
_TO_COMMA = re.compile(rb'[^"\[\]{},]*(?:%s[^"\[\]{},]*){0,500}' % _STRING, re.DOTALL)
_IN_STRING = re.compile(rb'\\.|\\\Z|"', re.DOTALL)


class JSONCutter:
    """Cuts a stream of JSON into the values at its top or in its topmost arrays.

    It only knows brackets, commas and strings; whether a piece is JSON is not its
    business.

    Args:
        max_bytes: of a value; of a larger one only the end is found.
        lines: that came before the stream.
    """

    def __init__(self, max_bytes: int, lines: int) -> None:
        self._lines = lines
        self._max_bytes = max_bytes
        #: Bytes that were fed.
        self.offset = 0
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._escaped = False
        # The value that is under way; None once it is too large.
        self._value: bytearray | None = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The values that end in this chunk, each with the line in which it begins.

        None for one that is too large, with the line in which it ends.
        """
        self.offset += len(chunk)
        start = 0
        position = self._string_end(chunk, 0)
        while position < len(chunk):
            # Inside a value no comma matters.
            inside = self._depth > self._in_array
            run = (_TO_BRACKET if inside else _TO_COMMA).match(chunk, position)
            at = run.end() if run else position
            position = at + 1
            byte = chunk[at:position]
            if byte == b'"':
                self._in_string = True
                position = self._string_end(chunk, position)
            elif byte and self._ends_value(byte):
                # The bracket that closes a value is its own; others are between values.
                self._keep(chunk[start : position if inside else at])
                start = position
                yield from self._take()
        self._keep(chunk[start:])

    def rest(self) -> str:
        """What is wrong with the end of the stream; empty if nothing is."""
        if self._depth or self._in_string or self._value is None:
            return "the file ends in the middle of a value"
        return "not a JSON object or array" if self._value.strip(SPACE) else ""

    def _string_end(self, chunk: bytes, position: int) -> int:
        """Where the string under way ends; the chunk's end if it goes on."""
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
        """Does a value end at this bracket or comma? Keeps count of the depth."""
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
        if self._depth == top:  # the end of the topmost array, or a bracket too many
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
