"""The endpoint options: those of the environment, overridden by the command line."""

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
    """The config from the environment, overridden by these options.

    Raises:
        click.UsageError: names the invalid option or variable; never shows a key.
    """
    if agent is not None and (site is not None or api_key_file is not None):
        raise click.UsageError("--agent can't be combined with --site or --api-key-file")
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
        options = {
            "DD_TRACE_AGENT_URL": "--agent" if agent is not None else "",
            "DD_SITE": "--site" if site is not None else "",
            "DD_API_KEY": f"--api-key-file {api_key_file}" if api_key_file is not None else "",
        }
        raise click.UsageError(_with_options_named(str(error), options)) from None


def _with_options_named(message: str, options: Mapping[str, str]) -> str:
    """Name the option in an error message about a variable that the option overrides."""
    variable, colon, rest = message.partition(": ")
    option = options.get(variable, "")
    if option and colon:
        return f"{option}: {rest}"
    if "DD_API_KEY is not set" in message:
        return f"{message}, or give a file with it in --api-key-file"
    return message


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} can't be read: {type(error).__name__}") from None


def mode_of(agentless: bool) -> str:
    return "agentless" if agentless else "agent"
