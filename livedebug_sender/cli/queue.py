"""``livedebug-sender queue``: inspect and repair the queue of a forwarder."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import ConfigError
from ..forwarder.options import PREFIX
from ..forwarder.queue.browsing import DEAD, WAITING, Entry, QueueBrowser, QueueInUse
from ..forwarder.queue.opening import DISK, KAFKA, open_browser
from ..forwarder.queue.request_queue import PutRefused, QueueUnreachable
from ..forwarder.queue.stored_request import StoredRequest
from ..forwarder.routes import ROUTES
from .output import counted, plain, print_json, stderr, stdout

_PLACES = (WAITING, DEAD)
Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")


@click.group()
def queue() -> None:
    """Inspect and repair the queue of a forwarder.

    FOLDER-OR-URL is the forwarder's --queue, or the folder of a queue on a disk. Commands that
    only read, and those for dead letters (requests that the intake rejected), may be used while
    forwarders work with the queue.
    """


def _queue_argument(command: Command) -> Command:
    return click.argument("queue_url", metavar="FOLDER-OR-URL")(command)


def _json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object on each line.")(
        command
    )


_json_summary = click.option("--json", "as_json", is_flag=True, help="The result as JSON.")


def _selection(command: Command) -> Command:
    command = click.option("--reason", help="Only dead letters with that reason.")(command)
    return click.option(
        "--route", type=click.Choice(list(ROUTES)), help="Only requests of that route."
    )(command)


_place_option = click.option(
    "--place", type=click.Choice(_PLACES), help="Only waiting requests, or only dead letters."
)


@queue.command("list")
@_queue_argument
@_place_option
@_selection
@click.option(
    "--limit", type=click.IntRange(0), default=50, show_default=True, help="Lines to print; 0: all."
)
@_json_option
def list_entries(
    queue_url: str,
    place: str | None,
    route: str | None,
    reason: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the requests in the queue, the oldest first. Bodies are not read."""
    shown = 0
    counts = dict.fromkeys(_PLACES, 0)
    sizes = dict.fromkeys(_PLACES, 0)
    with _browser(queue_url) as browser:
        found = _selected(browser, [place] if place else _PLACES, route, reason)
        for entry in _with_progress(found, "requests", shown=not as_json):
            counts[entry.place] += 1
            sizes[entry.place] += entry.size
            if shown < limit or not limit:
                shown += 1
                print_json(asdict(entry)) if as_json else stdout().print(plain(_line(entry)))
    if not as_json:
        if sum(counts.values()) > shown:
            stdout().print(plain("... (--limit 0 shows all)"))
        parts = [f"{counts[one]:,} {one} ({sizes[one]:,} bytes)" for one in _PLACES]
        stdout().print(plain(", ".join(parts), "bold"))


@queue.command()
@_queue_argument
@click.argument("name")
@click.option("--body", is_flag=True, help="Write only the body, unchanged.")
def show(queue_url: str, name: str, body: bool) -> None:
    """Show one complete request as JSON; NAME is from `list`."""
    with _browser(queue_url) as browser:
        try:
            request = browser.read(name)
        except KeyError:
            raise click.UsageError(
                f"no request is named {name!r:.80}; `queue list` gives their names"
            ) from None
    if body:
        sys.stdout.buffer.write(request.body)
        sys.stdout.buffer.flush()
    else:
        print_json(_record(request))


@queue.command()
@_queue_argument
@_json_option
def verify(queue_url: str, as_json: bool) -> None:
    """Read and check the whole queue. The exit status is 1 if anything is damaged."""
    problems = 0
    with _browser(queue_url) as browser:
        for finding in _with_progress(browser.verify(), "parts", shown=not as_json):
            problems += bool(finding.problem)
            if as_json:
                print_json(asdict(finding))
                continue
            mark, style = ("FAIL", "red") if finding.problem else ("ok  ", "green")
            held = f"{counted(finding.requests, 'request')}, {finding.bytes:,} bytes"
            stdout().print(
                plain(mark, style),
                plain(f" {finding.part}: {held}"),
                plain(f": {finding.problem}" if finding.problem else "", style),
                sep="",
            )
    sys.exit(1 if problems else 0)


@queue.command(short_help="Send dead letters again.")
@_queue_argument
@click.argument("names", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All dead letters, or all that match.")
@_selection
@_json_summary
def requeue(
    queue_url: str,
    names: tuple[str, ...],
    all_: bool,
    route: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Send dead letters again: those with these NAMES, or --all."""
    with _browser(queue_url) as browser:
        chosen = _chosen(browser, names, all_, DEAD, route, reason)
        done = browser.requeue(chosen)
    if as_json:
        print_json({"chosen": len(chosen), "requeued": done})
    else:
        stdout().print(plain(f"{counted(done, 'dead letter')} will be sent again"))
    sys.exit(0 if done == len(chosen) else 1)


@queue.command(short_help="Delete requests.")
@_queue_argument
@click.argument("names", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All of --place that match.")
@_place_option
@_selection
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_json_summary
def drop(
    queue_url: str,
    names: tuple[str, ...],
    all_: bool,
    place: str | None,
    route: str | None,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete requests: those with these NAMES, or --all of a --place.

    Waiting requests can be deleted only while no forwarder works with the queue.
    """
    if all_ and not place:
        raise click.UsageError("--all needs --place: waiting or dead")
    with _browser(queue_url) as browser:
        chosen = _chosen(browser, names, all_, place or DEAD, route, reason)
        if chosen and not yes:
            question = f"Delete {counted(len(chosen), 'request')}?"
            click.confirm(question, abort=True, err=as_json)
        try:
            done = browser.drop(chosen)
        except QueueInUse as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        print_json({"chosen": len(chosen), "dropped": done})
    else:
        stdout().print(plain(f"{counted(done, 'request')} dropped"))
    sys.exit(0 if done == len(chosen) else 1)


@queue.command(short_help="Write requests to a file as JSON Lines.")
@_queue_argument
@click.argument("output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@_place_option
@_selection
def export(
    queue_url: str, output: Path, place: str | None, route: str | None, reason: str | None
) -> None:
    """Write requests to OUTPUT (-: the standard output), one JSON object on each line.

    In the format of a file:// endpoint: method, path, headers and body. The queue is not
    changed.
    """
    written = missing = 0
    with _browser(queue_url) as browser, _opened(output) as file:
        found = _selected(browser, [place] if place else _PLACES, route, reason)
        for entry in _with_progress(found, "requests", shown=True):
            try:
                request = browser.read(entry.name)
            except KeyError:  # delivered in the meantime
                missing += 1
                continue
            record = {**_record(request), "place": entry.place, "reason": entry.reason}
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            written += 1
    gone = f"; {missing:,} no longer existed" if missing else ""
    stderr().print(plain(f"{counted(written, 'request')} written{gone}"))


@contextmanager
def _browser(queue_url: str) -> Iterator[QueueBrowser]:
    if not queue_url.startswith((DISK, KAFKA)):
        queue_url = f"{DISK}{Path(queue_url).absolute()}"
    kafka_config = os.environ.get(f"{PREFIX}KAFKA_CONFIG", "")
    try:
        with open_browser(queue_url, tuple(ROUTES), kafka_config) as browser:
            yield browser
    except (QueueUnreachable, PutRefused) as error:
        raise click.ClickException(str(error)) from None
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _selected(
    browser: QueueBrowser, places: Iterable[str], route: str | None, reason: str | None
) -> Iterator[Entry]:
    for place in places:
        for entry in browser.entries(place):
            if (not route or entry.route == route) and (not reason or entry.reason == reason):
                yield entry


def _chosen(
    browser: QueueBrowser,
    names: tuple[str, ...],
    all_: bool,
    place: str,
    route: str | None,
    reason: str | None,
) -> list[str]:
    if bool(names) == all_:
        raise click.UsageError("expected: names from `queue list`, or --all")
    if names:
        return list(dict.fromkeys(names))
    return [entry.name for entry in _selected(browser, [place], route, reason)]


def _with_progress(items: Iterable[Item], what: str, *, shown: bool) -> Iterator[Item]:
    console = stderr()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.completed:,.0f} " + what),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    with bar:
        task = bar.add_task("", total=None)
        for item in items:
            yield item
            bar.advance(task)


def _line(entry: Entry) -> str:
    age = max(0.0, time.time() - entry.received_at)
    reason = f"  {entry.reason}" if entry.reason else ""
    size = f"{entry.size:>10,}  {age:>8,.0f} s"
    return f"{entry.name:<24}  {entry.place:<7}  {size}  {entry.route}{reason}"


def _record(request: StoredRequest) -> dict[str, Any]:
    path = f"{request.route}?{request.query}" if request.query else request.route
    record: dict[str, Any] = {
        "method": "POST",
        "path": path,
        "headers": dict(request.headers),
        "request_id": request.request_id,
        "received_at": request.received_at,
    }
    try:
        record["body"] = request.body.decode("utf-8")
    except UnicodeDecodeError:
        record["body_base64"] = base64.b64encode(request.body).decode("ascii")
    return record


def _opened(output: Path) -> BinaryIO:
    """The file, or a duplicate of standard output, which a `with` block may close."""
    if str(output) == "-":
        return open(sys.stdout.fileno(), "wb", closefd=False)
    try:
        return open(output, "wb")
    except OSError as error:
        raise click.UsageError(f"{output} can't be written: {error.strerror}") from None
