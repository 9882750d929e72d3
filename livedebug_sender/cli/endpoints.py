"""The options that say where to: the environment's, with the command line's over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from ..config import SenderConfig
from ..errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])


def endpoint_options(command: Command) -> Command:
    """Add ``--agent``, ``--site`` and ``--api-key-file``."""
    for option in reversed(
        (
            click.option("--agent", metavar="URL", help="An agent.  [DD_TRACE_AGENT_URL]"),
            click.option(
                "--site",
                metavar="SITE",
                help="Agentless, at this site, with the key in DD_API_KEY.  [DD_SITE]",
            ),
            click.option(
                "--api-key-file",
                metavar="FILE",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Agentless, with the key in this file.  [DD_API_KEY]",
            ),
        )
    ):
        command = option(command)
    return command


def config_of(
    agent: str | None,
    site: str | None,
    api_key_file: Path | None,
    environ: Mapping[str, str] | None = None,
) -> SenderConfig:
    """The config of the environment with these options over it.

    Raises:
        click.UsageError: for what can't be meant; never with a key in its words.
    """
    if agent is not None and (site is not None or api_key_file is not None):
        raise click.UsageError("--agent means an agent; --site and --api-key-file mean none")
    given = dict(os.environ if environ is None else environ)
    agentless: bool | None = None
    if agent is not None:
        given["DD_TRACE_AGENT_URL"], agentless = agent, False
    if site is not None:
        given["DD_SITE"], agentless = site, True
    if api_key_file is not None:
        given["DD_API_KEY"], agentless = _text(api_key_file), True
    try:
        return SenderConfig.from_env(given, agentless=agentless)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} can't be read: {type(error).__name__}") from None


def mode_of(agentless: bool) -> str:
    return "agentless" if agentless else "agent"
