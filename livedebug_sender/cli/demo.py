"""``livedebug-sender demo``: the README's first command."""

from __future__ import annotations

import sys

import click

from .. import demo as shown


@click.command()
@click.option("--agent", metavar="URL", help="Send to a Datadog agent.")
@click.option("--site", metavar="SITE", help="Send to a site, with the key in DD_API_KEY.")
def demo(agent: str | None, site: str | None) -> None:
    """Send the sample payloads to two intakes of its own, and show what arrived."""
    if agent is not None and site is not None:
        raise click.UsageError("--agent and --site: one of them is wanted")
    arguments = []
    if agent is not None:
        arguments = ["--agent", agent]
    if site is not None:
        arguments = ["--site", site]
    sys.exit(shown.main(arguments))
