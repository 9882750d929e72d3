"""``livedebug-sender``: the group of the subcommands, each imported when it is needed."""

from __future__ import annotations

import io
import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec

import click

from ..version import __version__

#: The module of each subcommand; a subcommand whose module is missing is not offered.
COMMANDS = {
    "send": ("livedebug_sender.cli.send", "Send files of payloads."),
    "lint": ("livedebug_sender.cli.lint", "Compare payloads with their schemas."),
    "check": ("livedebug_sender.cli.check", "Say whether payloads would arrive."),
    "intake": ("livedebug_sender.cli.intake", "Serve a local intake with a web page."),
    "forward": ("livedebug_sender.forwarder.command", "Forward tracers' payloads to Datadog."),
    "queue": ("livedebug_sender.cli.queue", "Inspect and repair a forwarder's queue."),
    "demo": ("livedebug_sender.cli.demo", "Send the sample payloads, and show what arrives."),
}

#: Modules that a command imports only after it has started.
_NEEDED_LATER = {"forward": ("prometheus_client",)}


class _Commands(click.Group):
    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(context, args)
        except click.NoSuchOption as wrong:
            words = f"{wrong.option_name} is not an option of livedebug-sender itself"
            advice = "options of a command follow its name: check --json"
            raise click.UsageError(f"{words}; {advice}", context) from None

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(context)
        # During shell completion, no error is raised for the preceding words.
        if args[0] not in names and not context.resilient_parsing:
            close = get_close_matches(args[0], names, 1)
            words = f"did you mean {close[0]!r}?" if close else f"expected: {', '.join(names)}"
            raise click.UsageError(f"no command is named {args[0]!r:.80}; {words}", context)
        return super().resolve_command(context, args)

    def list_commands(self, context: click.Context) -> list[str]:
        return [name for name, (module, _) in COMMANDS.items() if is_installed(module)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        try:
            for module in _NEEDED_LATER.get(name, ()):
                import_module(module)
            command = getattr(import_module(COMMANDS[name][0]), name)
        except ModuleNotFoundError as missing:
            raise click.UsageError(
                f"{name} needs {missing.name}, which is not installed; "
                f'do: pip install "livedebug-sender[{_extra(name)}]"'
            ) from None
        return command if isinstance(command, click.Command) else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table: not every extra needs to be installed to read the help.
        rows = [(name, COMMANDS[name][1]) for name in self.list_commands(context)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not installed
        return False


def _extra(name: str) -> str:
    return {"forward": "forwarder", "intake": "cli,intake"}.get(name, "cli")


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="livedebug-sender %(version)s")
def cli() -> None:
    """Send, check and inspect Live Debugger and Symbol Database payloads.

    The endpoint is read from the variables of Datadog's tracers: DD_API_KEY
    (agentless, at DD_SITE), DD_TRACE_AGENT_URL, DD_AGENT_HOST and
    DD_TRACE_AGENT_PORT; options override them. An API key is given by DD_API_KEY or a
    file, never on the command line.

    Exit status: 0: done; 1: not, or only partly done; 2: usage error.
    """
    # As stderr does by default: under LC_ALL=C, or in a pipe with another encoding, characters
    # that it can't encode would raise.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
