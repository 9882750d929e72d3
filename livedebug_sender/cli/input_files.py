"""Reads the files for ``send`` and ``lint``: decompressed, each payload with its track."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from ..protocol.payload import check_content_type
from ..protocol.tracks import Track, track_of_payload
from ..units import MiB
from .payload_files import TOO_LARGE, Found, payloads_in
from .recordings import is_recording, request_in, statuses_in

#: Maximum bytes of a SymDB body.
MAX_BODY = 32 * MiB

#: Maximum bytes of a recorded request's line: with a base64 body, or each quote escaped.
MAX_RECORD = 3 * MAX_BODY

_GZIP = b"\x1f\x8b"
_PEEK = 256
# The first line of a multipart body (RFC 2046, 5.1.1).
_FIRST_LINE = re.compile(rb"--([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])\r\n")
_PLAIN = re.compile(r"[0-9A-Za-z'+_.-]+\Z")


@dataclass(frozen=True)
class Expected:
    """The command line's options for the files.

    Attributes:
        track: None: that of each payload, by its content.
        content_type: of SymDB bodies; None: by the first line of each.
        max_payload: maximum bytes of a JSON payload.
    """

    track: Track | None
    content_type: str | None = None
    max_payload: int = MiB


def total_bytes(names: tuple[str, ...]) -> int | None:
    """The size of all files; None if unknown.

    Raises:
        click.UsageError: a file can't be read; raised before anything is done.
    """
    total: int | None = 0
    for name in names:
        path = Path(name)
        if name == "-":
            total = None
        elif not path.exists():
            raise click.UsageError(f"there is no file {name!r}; expected: files, or - for stdin")
        elif path.is_dir():
            raise click.UsageError(f"{name!r} is a folder; expected: files, such as its *.json")
        elif not os.access(path, os.R_OK):
            raise click.UsageError(f"the file {name!r} may not be read by this user")
        elif total is not None:
            total = total + path.stat().st_size if path.is_file() else None
    return total


def payloads_of(names: tuple[str, ...], expected: Expected) -> Iterator[Found]:
    """The payloads of all files, in order."""
    before = 0
    for name in names:
        shown = "standard input" if name == "-" else name
        offset = 0
        with _opened(name) as file:
            try:
                for found in _payloads_in(file, expected):
                    offset = found.offset
                    yield replace(found, file=shown, offset=before + offset)
            except (OSError, EOFError, zlib.error) as error:
                problem = f"can't be read to its end: {str(error) or type(error).__name__}"
                yield Found("", before + offset, problem=problem, file=shown)
        before += offset


def content_type_of(head: bytes) -> str | None:
    """The content type of a multipart body, from its first line; None for another body."""
    line = _FIRST_LINE.match(head)
    if line is None:
        return None
    boundary = line[1].decode("ascii")
    quoted = boundary if _PLAIN.match(boundary) else f'"{boundary}"'
    return f"multipart/form-data; boundary={quoted}"


def _payloads_in(file: BinaryIO, expected: Expected) -> Iterator[Found]:
    head = _peeked(file)
    if is_recording(head) and expected.track is not Track.SYMDB:
        yield from _recorded(file, expected)
        return
    told = content_type_of(head)
    if expected.track is Track.SYMDB:
        yield _body(file, expected.content_type or told)
        return
    if told:
        yield from _multipart(_body(file, expected.content_type or told), told, expected)
        return
    for found in payloads_in(file, expected.max_payload):
        if found.problem or expected.track is not None:
            yield replace(found, track=expected.track)
        else:
            yield from _by_track(found, expected.max_payload)


def _multipart(body: Found, content_type: str, expected: Expected) -> Iterator[Found]:
    """A multipart body: statuses, as tracers send them to an agent, or a symdb upload."""
    statuses = None if body.problem else statuses_in(body.payload, content_type)
    if statuses is not None and expected.track in (None, Track.DIAGNOSTICS):
        for found in _by_track(replace(body, payload=statuses), expected.max_payload):
            # Line numbers in the part are not those of the file.
            yield replace(found, track=Track.DIAGNOSTICS, content_type=None, line=None)
    elif expected.track is None:
        yield body
    else:
        kind = "diagnostics'" if statuses is not None else "symdb's"
        words = f"multipart, as {kind} bodies are; expected: JSON, for {expected.track}"
        yield Found("", body.offset, problem=words)


def _recorded(file: BinaryIO, expected: Expected) -> Iterator[Found]:
    """The payloads of recorded requests, each in the line of its request."""
    if expected.track is not None:
        words = f"recorded requests, each of its own track; leave {expected.track} out"
        yield Found("", 0, problem=words)
        return
    for record in payloads_in(file, MAX_RECORD):
        try:
            request = None if record.problem else request_in(record.payload)
        except ValueError as error:
            record = replace(record, payload=b"", problem=str(error))
            request = None
        if request is None:
            yield record
        elif request.track is Track.SYMDB:
            upload = replace(record, track=Track.SYMDB, content_type=request.content_type)
            yield replace(upload, payload=request.body)
        else:
            # Line numbers in the body are not those of the file.
            body = replace(record, payload=request.body.replace(b"\n", b" "))
            for found in _by_track(body, expected.max_payload):
                told = request.track if found.track is not None else None
                yield replace(found, track=told or found.track, line=record.line)


def _body(file: BinaryIO, content_type: str | None) -> Found:
    body = file.read(MAX_BODY + 1)
    found = Found("", len(body), track=Track.SYMDB, content_type=content_type or "")
    if not body:
        return replace(found, problem="empty")
    if len(body) > MAX_BODY:
        return replace(found, problem=f"larger than {MAX_BODY // MiB} MiB", reason=TOO_LARGE)
    if content_type is None:
        words = "not multipart, so its content type is unknown: give --content-type"
        return replace(found, problem=words)
    check_content_type(content_type)
    return replace(found, payload=body)


def _by_track(found: Found, max_payload: int) -> Iterator[Found]:
    """A payload with its own track; an array is split, since its elements may differ in track."""
    if not found.payload.lstrip().startswith(b"["):
        yield replace(found, track=track_of_payload(json.loads(found.payload)))
        return
    # The text is sliced, not encoded again: numbers keep their digits.
    for element in payloads_in(io.BytesIO(found.payload), max_payload):
        place = f"{found.place}, {element.place}" if found.place else element.place
        if element.problem:
            yield replace(element, place=place)
        else:
            yield from _by_track(replace(element, place=place), max_payload)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        stdin: Any = sys.stdin.buffer
        # A replacement, in a test or a notebook, may have no `peek`.
        buffered = stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin)
        yield _unpacked(buffered)
        return
    with open(name, "rb") as file:
        yield _unpacked(file)


def _unpacked(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", gzip.open(file)) if _peeked(file).startswith(_GZIP) else file


def _peeked(file: BinaryIO) -> bytes:
    """The beginning of a file, without consuming it."""
    return cast("io.BufferedReader", file).peek(_PEEK)
