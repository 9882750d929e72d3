"""Payloads out of a file, one at a time, however large the file is.

JSON Lines is read by lines. Other JSON is cut, as it streams by, into the values at its
top, or inside the array at its top. Nothing larger than one payload is held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

#: Bytes that are read at once.
_CHUNK = 256 * 1024
# Up to the next bracket (and comma) that is in no string, or a string that goes on in
# the next chunk; with a bound, since each repetition takes memory.
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*(?:%s[^"\[\]{}]*){0,500}' % _STRING, re.DOTALL)
_TO_COMMA = re.compile(rb'[^"\[\]{},]*(?:%s[^"\[\]{},]*){0,500}' % _STRING, re.DOTALL)
_IN_STRING = re.compile(rb'\\.|\\\Z|"', re.DOTALL)
_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Found:
    """A payload, or in its place what is wrong there.

    Attributes:
        place: such as ``line 3`` or ``payload 3``.
        offset: bytes of the file up to its end.
    """

    place: str
    offset: int
    payload: bytes = b""
    problem: str = ""


def payloads_in(file: BinaryIO, most: int) -> Iterator[Found]:
    """The payloads of a file of JSON or JSON Lines.

    Args:
        most: bytes of a payload; a larger one is passed over, and given as a problem.
    """
    first = file.readline(most + _CHUNK)
    while first and not first.strip(_SPACE + _BOM):
        first = file.readline(most + _CHUNK)
    first = first.removeprefix(_BOM)
    if not first:
        return
    # A line that is a whole object can't be the start of anything but JSON Lines.
    by_lines = first.lstrip(_SPACE).startswith(b"{") and not _problem(first)
    yield from _by_lines(file, first, most) if by_lines else _by_values(file, first, most)


def _by_lines(file: BinaryIO, line: bytes, most: int) -> Iterator[Found]:
    number, offset = 0, 0
    while line:
        number += 1
        offset += len(line)
        text = line.strip(_SPACE)
        if len(text) > most:
            while line and not line.endswith(b"\n"):
                line = file.readline(_CHUNK)
                offset += len(line)
            yield Found(f"line {number}", offset, problem=f"larger than {most} bytes")
        elif text:
            yield _judged(f"line {number}", offset, text)
        line = file.readline(most + _CHUNK)


def _by_values(file: BinaryIO, chunk: bytes, most: int) -> Iterator[Found]:
    cutter = _Cutter(most)
    number = 0
    while chunk:
        for piece in cutter.feed(chunk):
            number += 1
            place = f"payload {number}"
            if piece is None:
                yield Found(place, cutter.offset, problem=f"larger than {most} bytes")
            else:
                yield _judged(place, cutter.offset, piece)
        chunk = file.read(_CHUNK)
    rest = cutter.rest()
    if rest:
        yield Found(f"after payload {number}", cutter.offset, problem=rest)


def _judged(place: str, offset: int, text: bytes) -> Found:
    problem = _problem(text)
    return Found(place, offset, b"" if problem else text, problem)


def _problem(text: bytes) -> str:
    """Why that is no payload; empty if it is one."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError:
        return "no UTF-8"
    except RecursionError:
        return "nested too deep"
    except ValueError as error:
        return f"no JSON: {error}"
    return "" if isinstance(value, (dict, list)) else "no JSON object or array"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


class _Cutter:
    """Cuts a stream of JSON into the values at its top or in its topmost arrays.

    It only knows brackets, commas and strings; whether a piece is JSON is not its
    business.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        #: Bytes that were fed.
        self.offset = 0
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._escaped = False
        # The value that is under way; None once it is too large.
        self._value: bytearray | None = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """The values that end in this chunk; None for one that is too large."""
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
        return "no JSON object or array" if self._value.strip(_SPACE) else ""

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
        if self._value is not None:
            self._value += piece
            if len(self._value) > self._most + _CHUNK:
                self._value = None

    def _take(self) -> Iterator[bytes | None]:
        value, self._value = self._value, bytearray()
        text = b"" if value is None else bytes(value).strip(_SPACE)
        if value is None or len(text) > self._most:
            yield None
        elif text:
            yield text
