"""A demonstration of the main job: ``python -m livedebug_sender.demo``.

Sends the sample payloads through a `Sender` to two small intakes on loopback, a primary
and an additional one, or to a real agent or site, and prints what arrived where.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from .config import SenderConfig
from .errors import ConfigError
from .protocol.body import MULTIPART_TYPE
from .protocol.endpoint import Endpoint, debugger_intake_endpoint
from .protocol.tags import generate_tags
from .protocol.tracks import Track, track_of_payload
from .sender import Sender
from .stats import Stats

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

#: Seconds for everything to arrive; a real site may be far away.
PATIENCE = 30.0
_SAMPLES = {
    Track.DIAGNOSTICS: ("diagnostics.json",),
    Track.LOGS: ("logs.json",),
    Track.SNAPSHOTS: ("snapshots.json", "large_snapshot.json.gz"),
}
_HEADINGS = ("intake", "track", "path", "payloads", "bytes", "requests", "tags")
_HINT = """
To send the same payloads to a real agent or site:
  {command} --agent http://localhost:8126
  {command} --site datadoghq.com   (the key in the environment, as DD_API_KEY)
"""


@dataclass(frozen=True)
class Arrival:
    """One request, as an intake understood it."""

    track: Track
    path: str
    tags: str
    payloads: tuple[Any, ...]
    size: int


class Intake(ThreadingHTTPServer):
    """Accepts and stores what a sender sends in agentless mode."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.arrivals: list[Arrival] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Intake

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.arrivals.append(understand(self.path, self.headers, body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass  # the table shows it instead


def understand(target: str, headers: Message, body: bytes) -> Arrival:
    """Parse a request; all tracks share one path at the intake."""
    parts = urlsplit(target)
    if headers.get("DD-EVP-ORIGIN") == "agent-symdb":
        # http.server decodes headers as Latin-1; tags are UTF-8.
        tags = headers.get("X-Datadog-Additional-Tags", "").encode("latin-1").decode()
        return Arrival(Track.SYMDB, parts.path, tags, (body,), len(body))
    tags = parse_qs(parts.query).get("ddtags", [""])[0]
    if headers["Content-Type"] == MULTIPART_TYPE:
        array = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
        payloads = tuple(json.loads(array))
        return Arrival(Track.DIAGNOSTICS, parts.path, tags, payloads, len(body))
    payloads = tuple(json.loads(body))
    return Arrival(track_of_payload(payloads[0]), parts.path, tags, payloads, len(body))


@contextmanager
def serving() -> Iterator[Intake]:
    with Intake() as intake:
        thread = threading.Thread(target=intake.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield intake
        finally:
            intake.shutdown()
            thread.join()


def sample_payloads() -> dict[Track, list[Any]]:
    """Every element of every sample file, and the symdb body."""
    folder = files(__package__) / "samples"
    payloads = {
        track: [element for name in names for element in json.loads(_text(folder / name))]
        for track, names in _SAMPLES.items()
    }
    return payloads | {Track.SYMDB: [(folder / "symdb.body").read_bytes()]}


def _text(file: Traversable) -> bytes:
    packed = file.read_bytes()
    return gzip.decompress(packed) if file.name.endswith(".gz") else packed


def send_samples(config: SenderConfig) -> tuple[Stats, bool]:
    """Send all samples once; returns the stats, and whether everything was delivered."""
    symdb_type = (files(__package__) / "samples" / "symdb.content_type").read_text().strip()
    tags = generate_tags("0.1", "demo", "1.0", "demo-runtime", ("team:shop & söhne",))
    sender = Sender(config, tags=tags)
    taken = True
    for track, payloads in sample_payloads().items():
        content_type = symdb_type if track is Track.SYMDB else None
        for payload in payloads:
            taken = sender.enqueue(track, payload, content_type=content_type) and taken
    closed = sender.close(PATIENCE)
    stats = sender.stats()
    return stats, taken and closed and stats.delivered == stats.enqueued


def two_intakes(primary: Intake, additional: Intake) -> SenderConfig:
    config = SenderConfig()
    config.set_endpoint(Endpoint(primary.url, api_key="demo-key"))
    config.set_symdb_endpoint(Endpoint(primary.url, api_key="demo-key"))
    config.add_additional_debugger_endpoint(Endpoint(additional.url, api_key="demo-key-2"))
    config.add_additional_symdb_endpoint(Endpoint(additional.url, api_key="demo-key-2"))
    return config


def is_complete(intake: Intake) -> bool:
    """Whether every sample arrived once, unchanged and in order."""
    arrived: dict[Track, list[Any]] = {track: [] for track in Track}
    for arrival in intake.arrivals:
        arrived[arrival.track] += arrival.payloads
    return arrived == sample_payloads()


Row = tuple[str, str, str, int, int, int, str]


@dataclass(frozen=True)
class Outcome:
    """The result of a run, with one row for each path at each of the local intakes."""

    delivered: bool
    stats: Stats
    rows: Sequence[Row] = ()


def rows_of(name: str, intake: Intake) -> list[Row]:
    rows: list[Row] = []
    for track in Track:
        found = [arrival for arrival in intake.arrivals if arrival.track is track]
        for path, tags in sorted({(arrival.path, arrival.tags) for arrival in found}):
            same = [arrival for arrival in found if (arrival.path, arrival.tags) == (path, tags)]
            payloads = sum(len(arrival.payloads) for arrival in same)
            size = sum(arrival.size for arrival in same)
            rows.append((name, str(track), path, payloads, size, len(same), tags))
    return rows


def print_table(rows: Sequence[Row]) -> None:
    shown = [[cell if isinstance(cell, str) else f"{cell:,}" for cell in row] for row in rows]
    lines = [list(_HEADINGS), *shown]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_HEADINGS))]
    for line in lines:
        cells = [
            cell.rjust(width) if 3 <= n <= 5 else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_stats(stats: Stats) -> None:
    print("\nThe sender's stats:")
    print(
        f"  payloads    {stats.enqueued} enqueued, {stats.delivered} delivered,"
        f" {stats.pending} pending, dropped: {dict(stats.dropped) or 'none'}"
    )
    print(
        f"  primary     {stats.requests} requests, {stats.retries} retries,"
        f" {stats.bytes_sent:,} bytes"
    )
    print(
        f"  additional  {stats.additional_delivered} requests delivered,"
        f" {stats.additional_failed} failed"
    )


def print_outcome(outcome: Outcome) -> None:
    if outcome.rows:
        print_table(outcome.rows)
    print_stats(outcome.stats)
    print("\nEverything was delivered." if outcome.delivered else "\nNOT everything was delivered.")


def print_json(outcome: Outcome) -> None:
    stats = {**vars(outcome.stats), "dropped": dict(outcome.stats.dropped)}
    rows = [dict(zip(_HEADINGS, row, strict=True)) for row in outcome.rows]
    print(json.dumps({"delivered": outcome.delivered, "stats": stats, "arrived": rows}))


def run_on_loopback(*, quiet: bool) -> Outcome:
    # Both ends are on loopback: don't use a proxy between them.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    with serving() as primary, serving() as additional:
        if not quiet:
            print(f"primary intake     {primary.url}\nadditional intake  {additional.url}\n")
        stats, delivered = send_samples(two_intakes(primary, additional))
        complete = is_complete(primary) and is_complete(additional)
        rows = rows_of("primary", primary) + rows_of("additional", additional)
    return Outcome(delivered and complete, stats, rows)


def run_for_real(endpoint: Endpoint, *, quiet: bool) -> Outcome:
    config = SenderConfig()
    config.set_endpoint(endpoint)
    config.set_symdb_endpoint(endpoint)
    if not quiet:
        print(f"to {endpoint.url}, {'agentless' if endpoint.agentless else 'an agent'}")
    stats, delivered = send_samples(config)
    return Outcome(delivered, stats)


def real_endpoint(agent: str | None, site: str | None) -> Endpoint | None:
    if agent is not None:
        return Endpoint(agent)
    if site is None:
        return None
    key = os.environ.get("DD_API_KEY", "").strip()
    if not key:
        raise ConfigError("--site needs an API key in the environment variable DD_API_KEY")
    return debugger_intake_endpoint(site, key)


def main(
    arguments: Sequence[str] | None = None, *, command: str = "python -m livedebug_sender.demo"
) -> int:
    """Run the demo; returns the exit status: 0: all delivered; 1: not all; 2: usage error.

    Args:
        command: the command that the user typed, for messages.
    """
    parser = argparse.ArgumentParser(prog=command, description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--agent", metavar="URL", help="send to a Datadog agent")
    where.add_argument(
        "--site", metavar="SITE", help="send to the intake of a site, with DD_API_KEY's key"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        endpoint = real_endpoint(chosen.agent, chosen.site)
    except ConfigError as error:
        parser.error(str(error))
    if endpoint is None:
        outcome = run_on_loopback(quiet=chosen.json)
    else:
        outcome = run_for_real(endpoint, quiet=chosen.json)
    if chosen.json:
        print_json(outcome)
    else:
        print_outcome(outcome)
        if endpoint is None:
            print(_HINT.format(command=command), end="")
    return 0 if outcome.delivered else 1


if __name__ == "__main__":
    sys.exit(main())
