"""Reads payloads from a file, one at a time, however large the file is.

JSON Lines is read line by line. Other JSON is streamed and split into its top-level values, or
those in its top-level array. Only one payload is in memory at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..protocol.tracks import Track
from ..units import MiB
from .json_cutter import CHUNK, SPACE, JSONCutter

_BOM = b"\xef\xbb\xbf"

# The same reasons as in the sender's `stats().dropped`, to which they are added.
INVALID = "invalid"
TOO_LARGE = "too_large"


@dataclass(frozen=True)
class Found:
    """A payload, or a problem in its place.

    Attributes:
        place: such as ``line 3`` or ``payload 3``.
        offset: bytes of the file up to its end.
        problem: what is wrong; empty for a payload.
        reason: of a problem: `INVALID` or `TOO_LARGE`.
        track: None if not determined yet.
        content_type: of a SymDB body.
        line: of the file, from 1, where the payload starts; None if unknown.
        file: its name, for messages.
    """

    place: str
    offset: int
    payload: bytes = b""
    problem: str = ""
    reason: str = INVALID
    track: Track | None = None
    content_type: str | None = None
    line: int | None = None
    file: str = ""


def payloads_in(file: BinaryIO, max_bytes: int) -> Iterator[Found]:
    """The payloads of a file of JSON or JSON Lines.

    Args:
        max_bytes: maximum size of a payload; a larger one is skipped, and returned as a problem.
    """
    before = 0
    first = file.readline(max_bytes + CHUNK)
    while first and not first.strip(SPACE + _BOM):
        before += first.count(b"\n")
        first = file.readline(max_bytes + CHUNK)
    first = first.removeprefix(_BOM)
    if not first:
        return
    # If the first line is a complete object, the file can only be JSON Lines.
    by_lines = first.lstrip(SPACE).startswith(b"{") and not _problem(first)
    read = _by_lines if by_lines else _by_values
    yield from read(file, first, max_bytes, before)


def _by_lines(file: BinaryIO, line: bytes, max_bytes: int, number: int) -> Iterator[Found]:
    too_large = _too_large(max_bytes)
    offset = 0
    while line:
        number += 1
        offset += len(line)
        text = line.strip(SPACE)
        if len(text) > max_bytes:
            while line and not line.endswith(b"\n"):
                line = file.readline(CHUNK)
                offset += len(line)
            yield Found(f"line {number}", offset, problem=too_large, reason=TOO_LARGE)
        elif text:
            yield _judged(f"line {number}", offset, text, number)
        line = file.readline(max_bytes + CHUNK)


def _by_values(file: BinaryIO, chunk: bytes, max_bytes: int, lines: int) -> Iterator[Found]:
    too_large = _too_large(max_bytes)
    cutter = JSONCutter(max_bytes, lines)
    number = 0
    while chunk:
        for line, piece in cutter.feed(chunk):
            number += 1
            place = f"payload {number}"
            if piece is None:
                yield Found(place, cutter.offset, problem=too_large, reason=TOO_LARGE)
            else:
                yield _judged(place, cutter.offset, piece, line)
        chunk = file.read(CHUNK)
    rest = cutter.rest()
    if rest:
        yield Found(f"after payload {number}", cutter.offset, problem=rest)


def _too_large(max_bytes: int) -> str:
    whole, rest = divmod(max_bytes, MiB)
    return f"larger than {max_bytes:,} bytes" if rest else f"larger than {whole} MiB"


def _judged(place: str, offset: int, text: bytes, line: int) -> Found:
    problem = _problem(text)
    return Found(place, offset, b"" if problem else text, problem, line=line)


def _problem(text: bytes) -> str:
    """Why it is not a payload; empty if it is one."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError:
        return "not UTF-8"
    except RecursionError:
        return "nested too deep"
    except ValueError as error:
        return f"not JSON: {error}"
    return "" if isinstance(value, (dict, list)) else "not a JSON object or array"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
