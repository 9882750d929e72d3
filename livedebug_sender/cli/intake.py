"""``livedebug-sender intake``: serve the local intake until Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..intake.origins import is_loopback
from ..intake.records import RecordedRequest
from ..intake.server import Intake
from ..intake.store import Store
from . import quantities
from .output import counted, plain, print_json, stderr, stdout

#: Seconds between two checks for new requests and for a signal to stop.
_LOOK = 0.2
#: Maximum services and probes named in a line.
_MAX_NAMES = 3


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8126,
    show_default=True,
    metavar="PORT",
    help="The port to listen on; 0: any free port.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to listen on; everybody who can connect to it can read the captured values.",
)
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="How many payloads to store; the oldest are removed first.",
)
@click.option(
    "--keep-bytes",
    callback=quantities.size,
    metavar="SIZE",
    default="64MiB",
    show_default=True,
    help="Bytes of the stored requests, at most.",
)
@click.option(
    "--max-body",
    callback=quantities.size,
    metavar="SIZE",
    default="32MiB",
    show_default=True,
    help="Bytes of one request's body, at most.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="PLAN",
    help="Inject faults: '503 twice, then good', 'no v2', 'late 200ms', 'drip', "
    "'early 413', 'reset', 'symdb: 500 for 20%'. May be given more than once.",
)
@click.option(
    "--probes",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A JSON array of probes to serve as remote configuration.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not print a line for each request.")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON.")
def intake(
    port: int,
    host: str,
    keep: int,
    keep_bytes: int,
    max_body: int,
    faults: tuple[str, ...],
    probes: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Serve a local intake, with a page that shows what arrives.

    It acts as an agent and as Datadog's intake. Set DD_TRACE_AGENT_URL to its URL for a tracer,
    and open the same URL in a browser. Exit status: 0 after Ctrl-C or SIGTERM; 1: the address is
    not available; 2: usage error.

    \b
    Examples:
      livedebug-sender intake
      livedebug-sender intake --port 8127 --probes probes.json
      livedebug-sender intake --fault '503 twice, then good' --json
    """
    try:
        served = Intake(
            host,
            port,
            store=Store(keep, keep_bytes),
            faults="; ".join(faults),
            max_body=max_body,
            probes=probes,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        stderr().print(plain(f"can't listen on {host}, port {port}: {_reason(error)}", "red"))
        sys.exit(1)
    # Before it prints that it serves, since it may be stopped right after that.
    with served, stopped_by_signals() as stop:
        _say_where(served, host, as_json)
        print_arrivals(served, stop, quiet, as_json)


def _reason(error: OSError) -> str:
    # An event loop's own message would repeat the address.
    words = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    if error.errno == errno.EADDRINUSE:
        return f"{words}: is an agent running there? choose another port with --port"
    return words


def _say_where(served: Intake, host: str, as_json: bool) -> None:
    if as_json:
        print_json({"url": served.url})
    else:
        console = stdout()
        console.print(plain(f"The page, and the intake:  {served.url}", "bold"))
        console.print(plain(f"For a tracer:              DD_TRACE_AGENT_URL={served.url}"))
        if served.faults:
            console.print(plain(f"Injected faults:           {served.faults}"))
        console.print(plain("Press Ctrl-C to stop."))
    if not is_loopback(host):
        words = f"listening on {host}: everybody who can connect can read the captured values"
        stderr().print(plain(words, "yellow"))


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that is set by SIGINT or SIGTERM."""
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_arrivals(served: Intake, stop: threading.Event, quiet: bool, as_json: bool) -> None:
    last = 0
    console = stdout()
    while not stop.wait(_LOOK):
        for request in [] if quiet else served.store.kept(last):
            last = request.number
            if as_json:
                print_json(_as_data(request))
            else:
                style = "" if request.taken else "red"
                console.print(plain(arrival_line(request), style))


def arrival_line(request: RecordedRequest) -> str:
    """``12:00:00.000  202  3 snapshots  shop  checkout-total  12,595 bytes``."""
    at = time.strftime("%H:%M:%S", time.localtime(request.at))
    tracks = Counter(str(summary.track) for summary in request.summaries)
    what = ", ".join(f"{count} {track}" for track, count in tracks.items()) or "no payloads"
    parts = [
        f"{at}.{int(request.at % 1 * 1000):03}",
        f"{request.status or 'none'}",
        what,
        _names({summary.service for summary in request.summaries}),
        _names({summary.probe for summary in request.summaries}),
        counted(request.size, "byte"),
        request.problem,
    ]
    # A lone surrogate, which JSON may contain, can't be written to a terminal.
    line = "  ".join(part for part in parts if part)
    return line.encode("utf-8", "backslashreplace").decode()


def _names(names: set[str]) -> str:
    found = sorted(names - {""})
    more = len(found) - _MAX_NAMES
    return ", ".join(found[:_MAX_NAMES]) + (f", and {more} more" if more > 0 else "")


def _as_data(request: RecordedRequest) -> dict[str, Any]:
    return {
        "number": request.number,
        "at": request.at,
        "path": request.path,
        "mode": request.mode,
        "tracks": request.tracks,
        "tags": request.tags,
        "payloads": len(request.summaries),
        "bytes": request.size,
        "status": request.status,
        "problem": request.problem,
    }
