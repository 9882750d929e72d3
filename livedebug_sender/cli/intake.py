"""``livedebug-sender intake``: serve the local intake until Ctrl-C."""

from __future__ import annotations

import re
import signal
import sys
import threading
from typing import Any

import click

from ..intake.browsers import is_loopback
from ..intake.misbehaving import parse_misbehaviour
from ..intake.server import Intake
from ..intake.store import Kept, Store
from .output import plain, print_json, stderr, stdout

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
#: Seconds between two looks for what came, and for a wish to stop.
_LOOK = 0.2


def _size(context: click.Context, parameter: click.Parameter, value: str) -> int:  # noqa: ARG001
    """Bytes of ``64MiB``."""
    found = re.fullmatch(r"(\d{1,12})(B|KiB|MiB|GiB)?", value)
    size = int(found[1]) * _UNITS[found[2] or ""] if found else 0
    if size < 1:
        raise click.BadParameter(f"{value!r} is no size; wanted: such as 500000, 512KiB or 64MiB")
    return size


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8126, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Payloads that are kept; the oldest go first.",
)
@click.option("--keep-bytes", callback=_size, metavar="SIZE", default="64MiB", show_default=True)
@click.option(
    "--max-body",
    callback=_size,
    metavar="SIZE",
    default="32MiB",
    show_default=True,
    help="Of one request.",
)
@click.option(
    "--fail",
    multiple=True,
    metavar="STATUS:SHARE",
    help="Refuse a share of the requests: 503:0.2. May be given more than once.",
)
@click.option("--delay", default="0ms", metavar="TIME", help="Before each answer: 200ms, 1.5s.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each request.")
def intake(
    port: int,
    host: str,
    keep: int,
    keep_bytes: int,
    max_body: int,
    fail: tuple[str, ...],
    delay: str,
    as_json: bool,
) -> None:
    """Serve a local intake, as an agent and as Datadog's own, with a page to look at.

    Point a tracer at it with DD_TRACE_AGENT_URL, and open the same URL in a browser.
    """
    try:
        misbehaviour = parse_misbehaviour(fail, delay)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        served = Intake(
            host,
            port,
            store=Store(keep, keep_bytes),
            misbehaviour=misbehaviour,
            max_body=max_body,
        )
    except OSError as error:
        reason = error.strerror or str(error)
        stderr().print(plain(f"can't listen on {host}, port {port}: {reason}", "red"))
        sys.exit(1)
    with served:
        _say_where(served, host, as_json)
        _until_told_to_stop(served, as_json)


def _say_where(served: Intake, host: str, as_json: bool) -> None:
    if as_json:
        print_json({"url": served.url})
    else:
        console = stdout()
        console.print(plain(f"The page, and the intake:  {served.url}", "bold"))
        console.print(plain(f"For a tracer:              DD_TRACE_AGENT_URL={served.url}"))
        console.print(plain("Ctrl-C ends it."))
    if not is_loopback(host):
        words = f"listening on {host}: who can reach this machine can see what is captured"
        stderr().print(plain(words, "yellow"))


def _until_told_to_stop(served: Intake, as_json: bool) -> None:
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in signals}
    last = 0
    try:
        while not stop.wait(_LOOK):
            for kept in served.store.kept(last) if as_json else ():
                last = kept.number
                print_json(_line(kept))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(kept: Kept) -> dict[str, Any]:
    return {
        "number": kept.number,
        "at": kept.at,
        "path": kept.path,
        "mode": kept.mode,
        "tracks": kept.tracks,
        "tags": kept.tags,
        "payloads": len(kept.glances),
        "bytes": kept.size,
        "status": kept.status,
        "problem": kept.problem,
    }
