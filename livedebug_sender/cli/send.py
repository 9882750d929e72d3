"""``livedebug-sender send``: files of payloads, through a `Sender`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import click

from ..environment import tags_from_env
from ..errors import ConfigError, InvalidPayload
from ..protocol.payload import check_content_type
from ..protocol.tracks import Track
from ..stats import Stats
from .endpoints import config_of, endpoint_options, mode_of
from .log_lines import LogLines
from .payload_files import Found, payloads_in
from .progress import SendingBar
from .sending import MOST_BODY, MOST_PAYLOAD, Report, Sending
from .words import counted, plain, print_json, stderr, stdout

_REASONS = {
    "invalid": "no payload on its face",
    "too_large": "too large",
    "queue_full": "no room in the queue",
    "rejected": "refused by the endpoint",
    "undeliverable": "not delivered in time",
    "shutdown": "given up at the end",
    "unfit": "not readable as a payload, not sent",
}


@click.command()
@click.argument("track", type=click.Choice([str(track) for track in Track]))
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--content-type", metavar="TYPE", help="Of symdb bodies, which need one.")
@click.option("--tags", metavar="TAGS", help="env:prod,version:2  [DD_ENV, DD_VERSION, DD_TAGS]")
@click.option(
    "--retry-for",
    type=click.FloatRange(0, 86400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to try what can't be delivered.",
)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
@endpoint_options
def send(
    track: str,
    files: tuple[str, ...],
    content_type: str | None,
    tags: str | None,
    retry_for: float,
    as_json: bool,
    **where: Any,
) -> None:
    """Send the payloads of a TRACK in FILEs; - is standard input.

    A file of the debugger tracks is JSON (an object, or an array of which each element
    is a payload) or JSON Lines, of any length. A file for symdb is one body, which is
    sent as it is.
    """
    kind = Track(track)
    _check_content_type(kind, content_type)
    total = _bytes_in(files)
    config = config_of(**where)
    console = stderr()
    bar = SendingBar(console, total, shown=not as_json)

    def note(problem: str) -> None:
        sending.report.note(problem)
        if not as_json:
            console.print(plain(problem, "yellow"))

    try:
        sending = Sending(
            config,
            kind,
            tags=tags_from_env(os.environ) if tags is None else tags,
            content_type=content_type,
            retry_for=retry_for,
            look=bar.look,
            note=note,
        )
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    with LogLines(note), bar:
        stats = sending.run(_found_in(files, kind))
    endpoint = config.endpoints_for(kind)[0]
    summary = {
        "track": track,
        "url": endpoint.url,
        "mode": mode_of(endpoint.agentless),
        **_accounts(stats, sending.report),
    }
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary)
    sys.exit(0 if summary["done"] else 1)


def _check_content_type(track: Track, content_type: str | None) -> None:
    if (track is Track.SYMDB) != (content_type is not None):
        raise click.UsageError("--content-type is for symdb, which needs it, and no other track")
    if content_type is not None:
        try:
            check_content_type(content_type)
        except InvalidPayload as error:
            raise click.UsageError(str(error)) from None


def _bytes_in(files: tuple[str, ...]) -> int | None:
    """The length of all files; None if it can't be known. Says no before anything is sent."""
    total: int | None = 0
    for name in files:
        path = Path(name)
        if name == "-":
            total = None
        elif not path.exists() or path.is_dir() or not os.access(path, os.R_OK):
            raise click.UsageError(f"{name!r} is no file that can be read")
        elif total is not None:
            total = total + path.stat().st_size if path.is_file() else None
    return total


def _found_in(files: tuple[str, ...], track: Track) -> Iterator[Found]:
    before = 0
    for name in files:
        shown = "standard input" if name == "-" else name
        offset = 0
        with _opened(name) as file:
            found = _body(file) if track is Track.SYMDB else payloads_in(file, MOST_PAYLOAD)
            for one in found:
                offset = one.offset
                place = f"{shown}, {one.place}" if one.place else shown
                yield replace(one, place=place, offset=before + offset)
        before += offset


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb")


def _body(file: BinaryIO) -> Iterator[Found]:
    body = file.read(MOST_BODY + 1)
    problem = "" if body else "empty"
    if len(body) > MOST_BODY:
        problem = f"larger than {MOST_BODY} bytes"
    yield Found("", len(body), b"" if problem else body, problem)


def _accounts(stats: Stats, report: Report) -> dict[str, Any]:
    dropped = {reason: count for reason, count in sorted(stats.dropped.items()) if count}
    if report.unfit:
        dropped["unfit"] = report.unfit
    return {
        "done": not report.stopped and not dropped and stats.delivered == report.offered,
        "payloads": report.offered + report.unfit,
        "delivered": stats.delivered,
        "dropped": dropped,
        "stopped": report.stopped,
        "requests": stats.requests,
        "retries": stats.retries,
        "bytes_sent": stats.bytes_sent,
        "additional_delivered": stats.additional_delivered,
        "additional_failed": stats.additional_failed,
        "problems": report.problems,
    }


def _print_summary(summary: dict[str, Any]) -> None:
    console = stdout()
    where = f"{summary['track']} to {summary['url']} ({summary['mode']})"
    payloads = counted(summary["payloads"], "payload")
    style = "green" if summary["done"] else "red"
    console.print(plain(f"{payloads} of {where}: {summary['delivered']:,} delivered", style))
    for reason, count in summary["dropped"].items():
        words = _REASONS.get(reason, reason)
        console.print(plain(f"  dropped {count:,}: {words} ({reason})", "red"))
    if summary["stopped"]:
        console.print(plain(f"  stopped before the end: {summary['stopped']}", "red"))
    failed = summary["additional_failed"]
    if failed:
        words = f"  additional endpoints: {counted(failed, 'request')} failed"
        console.print(plain(words, "yellow"))
    requests = counted(summary["requests"], "request")
    size = counted(summary["bytes_sent"], "byte")
    console.print(plain(f"  {requests} ({summary['retries']:,} of them retries), {size}"))
