"""``livedebug-sender demo``: send the sample payloads and show what arrives."""

from __future__ import annotations

import sys

import click

from .. import demo as shown


@click.command()
@click.option("--agent", metavar="URL", help="Send to a Datadog agent.")
@click.option("--site", metavar="SITE", help="Send to a site, with the key in DD_API_KEY.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def demo(agent: str | None, site: str | None, as_json: bool) -> None:
    """Send the sample payloads to two local intakes, and show what arrived."""
    if agent is not None and site is not None:
        raise click.UsageError("--agent and --site exclude each other; give one of them")
    arguments = ["--json"] if as_json else []
    if agent is not None:
        arguments += ["--agent", agent]
    if site is not None:
        arguments += ["--site", site]
    sys.exit(shown.main(arguments, command="livedebug-sender demo"))
