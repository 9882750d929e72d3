"""``livedebug-sender lint``: compares payloads with the schemas of their tracks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from ..lint import Finding, findings_in, symdb_findings
from ..lint.places import line_of
from ..protocol.tracks import Track
from ..units import MiB
from .input_files import Expected, payloads_of, total_bytes
from .output import counted, plain, print_json, stdout
from .payload_files import Found

#: Maximum bytes of a payload; larger than any that is sent.
_MAX_PAYLOAD = 32 * MiB


@dataclass(frozen=True)
class Row:
    """A finding, and the payload it is about.

    Attributes:
        payload: such as ``line 3`` or ``payload 3``; empty if the file is a single one.
    """

    file: str
    line: int | None
    payload: str
    track: str
    finding: Finding


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--track",
    type=click.Choice(["auto", *map(str, Track)]),
    default="auto",
    show_default=True,
    help="The track of the payloads; auto: by each payload's content.",
)
@click.option("--content-type", metavar="TYPE", help="Of symdb bodies that are not multipart.")
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def lint(files: tuple[str, ...], track: str, content_type: str | None, as_json: bool) -> None:
    """Compare the payloads in FILEs with the schemas of their tracks; - is standard input.

    Accepts the files that `send` accepts: JSON, JSON Lines, symdb bodies, also gzipped.
    Nothing is sent. Exit status: 0: no findings; 1: findings; 2: usage error.

    \b
    Examples:
      livedebug-sender lint snapshots.json statuses.jsonl.gz upload.body
      livedebug-sender lint --track logs --json - < logs.json
    """
    total_bytes(files)
    expected = Expected(None if track == "auto" else Track(track), content_type, _MAX_PAYLOAD)
    looked_at = 0
    rows: list[Row] = []
    for found in payloads_of(files, expected):
        looked_at += 1
        for row in _rows(found):
            rows.append(row)
            if not as_json:
                _print(row)
    if as_json:
        print_json({"payloads": looked_at, "findings": [_as_data(row) for row in rows]})
    else:
        style = "red" if rows else "green"
        words = f"{counted(looked_at, 'payload')}: {counted(len(rows), 'finding')}"
        stdout().print(plain(words, style))
    sys.exit(1 if rows else 0)


def _rows(found: Found) -> Iterator[Row]:
    track = str(found.track or "unknown")
    if found.problem:
        finding = Finding("", found.problem, "a JSON object or array, or a symdb body")
        yield Row(found.file, found.line, found.place, track, finding)
        return
    if found.track is Track.SYMDB:
        for finding in symdb_findings(found.payload, found.content_type or ""):
            yield Row(found.file, None, found.place, track, finding)
        return
    text = found.payload.decode()
    value = json.loads(text)
    elements = enumerate(value) if isinstance(value, list) else [(None, value)]
    for number, element in elements:
        for finding in findings_in(element, found.track):
            pointer = finding.pointer if number is None else f"/{number}{finding.pointer}"
            line = None if found.line is None else found.line - 1 + line_of(text, pointer)
            placed = Finding(pointer, finding.given, finding.expected)
            yield Row(found.file, line, found.place, track, placed)


def _print(row: Row) -> None:
    """Print in the format of compilers, so that editors and terminals link the file and line."""
    where = row.file if row.line is None else f"{row.file}:{row.line}"
    told = row.payload in ("", f"line {row.line}")  # of JSON Lines
    what = row.track if told else f"{row.payload}, {row.track}"
    said = plain(f": {row.finding} ({what})", "yellow")
    stdout().print(plain(where, "bold"), said, sep="")


def _as_data(row: Row) -> dict[str, Any]:
    return {
        "file": row.file,
        "payload": row.payload,
        "track": row.track,
        "line": row.line,
        **asdict(row.finding),
    }
