"""``livedebug-sender check``: checks that payloads would arrive, and says what to do if not."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from ..protocol.tracks import Track
from . import quantities
from .diagnosis import Diagnosis, Finding
from .endpoints import config_of, endpoint_options, mode_of
from .output import plain, print_json, stdout


@click.command()
@click.option(
    "--track",
    "tracks",
    type=click.Choice([str(track) for track in Track]),
    multiple=True,
    help="Only this track; may be given more than once.",
)
@click.option(
    "--timeout",
    callback=quantities.seconds,
    default="3s",
    show_default=True,
    metavar="TIME",
    help="For connecting, and for each answer, such as 500ms or 3s.",
)
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
@endpoint_options
def check(tracks: tuple[str, ...], timeout: float, as_json: bool, **where: Any) -> None:
    """Check each track's endpoints, from resolving the host's name to the answer.

    Sends an empty request to each. Exit status: 0: payloads would arrive; 1: not all would;
    2: usage error.

    \b
    Examples:
      livedebug-sender check
      livedebug-sender check --agent http://localhost:8126 --track snapshots
      livedebug-sender check --site datadoghq.eu --api-key-file key.txt
    """
    config = config_of(**where)
    diagnosis = Diagnosis()
    findings: list[Finding] = []
    seen: set[int] = set()
    for track in [Track(name) for name in tracks] or list(Track):
        for number, derived in enumerate(config.endpoints_for(track)):
            endpoint = replace(derived, timeout=timeout)
            role = "primary" if number == 0 else f"additional {number}"
            findings.append(diagnosis.of(track, role, endpoint))
            if not as_json:
                _print(findings[-1], seen)
    well = all(finding.ok for finding in findings)
    if as_json:
        print_json({"ok": well, "endpoints": [_as_data(finding) for finding in findings]})
    else:
        some = any(finding.ok for finding in findings)
        not_all = f"Payloads would not arrive{' everywhere' if some else ''}: see above."
        words = "Payloads would arrive." if well else not_all
        stdout().print(plain(words, "bold green" if well else "bold red"))
    sys.exit(0 if well else 1)


def _print(finding: Finding, seen: set[int]) -> None:
    """Print the steps that were not printed before; endpoints share the objects of common steps."""
    console = stdout()
    mode = mode_of(finding.endpoint.agentless)
    heading = f"{finding.track}, {finding.role} ({mode}): {finding.endpoint.url}"
    console.print(plain(heading, "bold"))
    fresh = [step for step in finding.steps if id(step) not in seen]
    seen.update(map(id, fresh))
    if not fresh:
        console.print(plain("  FAIL as above", "red"))
    for step in fresh:
        mark, style = ("ok  ", "green") if step.ok else ("FAIL", "red")
        console.print(plain(f"  {mark}", style), plain(f" {step.name:<8} {step.said}"), sep="")
        if step.advice:
            console.print(plain(f"                {step.advice}", "yellow"))
    console.print()


def _as_data(finding: Finding) -> dict[str, Any]:
    return {
        "track": str(finding.track),
        "role": finding.role,
        "url": finding.endpoint.url,
        "mode": mode_of(finding.endpoint.agentless),
        "ok": finding.ok,
        "steps": [
            {"name": step.name, "ok": step.ok, "said": step.said, "advice": step.advice}
            for step in finding.steps
        ],
    }
