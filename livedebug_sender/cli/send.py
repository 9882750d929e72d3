"""``livedebug-sender send``: files of payloads, through a `Sender`."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import click

from ..environment import tags_from_env
from ..errors import ConfigError, InvalidPayload
from ..protocol.endpoint import Endpoint
from ..protocol.payload import check_content_type
from ..protocol.tracks import Track
from ..stats import Stats
from . import quantities
from .endpoints import config_of, endpoint_options, mode_of
from .input_files import MAX_BODY, Expected, payloads_of, total_bytes
from .log_lines import LogLines
from .output import counted, plain, print_json, stderr, stdout
from .progress import SendingBar
from .sending import MAX_PAYLOAD, Report, Sending

_AUTO = "auto"
_REASONS = {
    "invalid": "not readable as a payload, not sent",
    "too_large": "larger than an endpoint accepts; see --prune",
    "queue_full": "the queue was full",
    "rejected": "refused by the endpoint",
    "undeliverable": "not delivered in time",
    "shutdown": "not delivered before the end",
}


@click.command()
@click.argument("arguments", metavar="[TRACK] FILE...", nargs=-1, required=True)
@click.option(
    "--track",
    type=click.Choice([_AUTO, *map(str, Track)]),
    help="Instead of TRACK; auto (the default): by each payload's content.",
)
@click.option(
    "--content-type",
    metavar="TYPE",
    help="Of symdb bodies; required if the first line does not show it.",
)
@click.option("--tags", metavar="TAGS", help="env:prod,version:2  [DD_ENV, DD_VERSION, DD_TAGS]")
@click.option(
    "--retry-for",
    callback=quantities.seconds_or_none,
    default="30s",
    show_default=True,
    metavar="TIME",
    help="How long to retry, such as 500ms, 30s or 5m.",
)
@click.option("--prune", is_flag=True, help="Prune snapshots that are too large until they fit.")
@click.option(
    "--skip",
    type=click.IntRange(0),
    default=0,
    metavar="COUNT",
    help="Skip that many payloads at the beginning, to resume after an interruption.",
)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
@endpoint_options
def send(
    arguments: tuple[str, ...],
    track: str | None,
    content_type: str | None,
    tags: str | None,
    retry_for: float,
    prune: bool,
    skip: int,
    as_json: bool,
    **where: Any,
) -> None:
    """Send the payloads in FILEs; - is standard input.

    A file of the debugger tracks is JSON (an object, or an array of payloads) or JSON
    Lines, of any length. A file for symdb is one body, which is sent unchanged. Files
    written by a file:// endpoint or by `queue export` can be sent again. All may be
    gzipped.

    \b
    Examples:
      livedebug-sender send snapshots.json
      livedebug-sender send --agent http://localhost:8126 logs.jsonl.gz
      livedebug-sender send diagnostics - < statuses.json
    """
    kind, files = _track_and_files(track, arguments)
    _check_content_type(kind, content_type)
    total = total_bytes(files)
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
            tags=tags_from_env(os.environ) if tags is None else tags,
            retry_for=retry_for,
            prune=prune,
            skip=skip,
            look=bar.look,
            note=note,
        )
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    expected = Expected(kind, content_type, MAX_BODY if prune else MAX_PAYLOAD)
    with LogLines(note), bar:
        stats = sending.run(payloads_of(files, expected))
    endpoint = config.endpoints_for(kind or Track.LOGS)[0]
    summary = {
        "track": str(kind or _AUTO),
        "url": endpoint.url if kind else _origin(endpoint),
        "mode": mode_of(endpoint.agentless),
        **_accounts(stats, sending.report),
    }
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary)
    sys.exit(0 if summary["done"] else 1)


def _origin(endpoint: Endpoint) -> str:
    """The origin that all tracks share; each has its own path there."""
    parts = urlsplit(endpoint.url)
    return endpoint.url if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}"


def _track_and_files(
    option: str | None, arguments: tuple[str, ...]
) -> tuple[Track | None, tuple[str, ...]]:
    """The track (None: each payload's own) and the files."""
    first, *rest = arguments
    if option is not None:
        return (None if option == _AUTO else Track(option)), arguments
    if first == _AUTO or first in list(Track):
        if not rest:
            raise click.UsageError(f"{first} is the track; a FILE is missing")
        return (None if first == _AUTO else Track(first)), tuple(rest)
    if first != "-" and not os.path.exists(first):
        close = get_close_matches(first, [_AUTO, *Track], 1)
        tracks = f"did you mean {close[0]}?" if close else ", ".join([_AUTO, *Track])
        raise click.UsageError(f"{first!r} is neither a track ({tracks}) nor an existing file")
    return None, arguments


def _check_content_type(track: Track | None, content_type: str | None) -> None:
    if content_type is None:
        return
    if track not in (None, Track.SYMDB):
        raise click.UsageError(
            f"--content-type is for symdb only; {track} has a fixed content type"
        )
    try:
        check_content_type(content_type)
    except InvalidPayload as error:
        raise click.UsageError(f"--content-type: {error}") from None


def _accounts(stats: Stats, report: Report) -> dict[str, Any]:
    dropped = {reason: count for reason, count in sorted(stats.dropped.items()) if count}
    for reason, count in report.passed_over.items():
        dropped[reason] = dropped.get(reason, 0) + count
    return {
        "done": not report.stopped and not dropped and stats.delivered == report.offered,
        "payloads": report.offered + report.passed_over.total(),
        "delivered": stats.delivered,
        "dropped": dropped,
        "skipped": report.skipped,
        "stopped": report.stopped,
        "resume_at": report.resume_at,
        "requests": stats.requests,
        "retries": stats.retries,
        "bytes_sent": stats.bytes_sent,
        "additional_delivered": stats.additional_delivered,
        "additional_failed": stats.additional_failed,
        "problems": report.problems,
    }


def _print_summary(summary: dict[str, Any]) -> None:
    console = stdout()
    where = f"{summary['url']} ({summary['mode']})"
    payloads = counted(summary["payloads"], "payload")
    if summary["track"] != _AUTO:
        payloads = f"{payloads} of {summary['track']}"
    style = "green" if summary["done"] else "red"
    console.print(plain(f"{payloads} to {where}: {summary['delivered']:,} delivered", style))
    for reason, count in summary["dropped"].items():
        words = _REASONS.get(reason, reason)
        console.print(plain(f"  dropped {count:,}: {words} ({reason})", "red"))
    if summary["stopped"]:
        console.print(plain(f"  stopped before the end: {summary['stopped']}", "red"))
        skip = f" with --skip {summary['resume_at']}" if summary["resume_at"] else " again"
        console.print(plain(f"  to resume: the same command{skip}", "yellow"))
    if "undeliverable" in summary["dropped"]:
        words = "  livedebug-sender check tests the connection, and says what to do"
        console.print(plain(words, "yellow"))
    failed = summary["additional_failed"]
    if failed:
        words = f"  additional endpoints: {counted(failed, 'request')} failed"
        console.print(plain(words, "yellow"))
    requests = counted(summary["requests"], "request")
    size = counted(summary["bytes_sent"], "byte")
    console.print(plain(f"  {requests} ({summary['retries']:,} of them retries), {size}"))
