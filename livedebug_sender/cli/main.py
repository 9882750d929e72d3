"""``livedebug-sender``: the group of the subcommands, each loaded when it is needed."""

from __future__ import annotations

import io
import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec

import click

from ..version import __version__

#: Where each subcommand is; one of a module that is not there is not offered.
COMMANDS = {
    "send": ("livedebug_sender.cli.send", "Send files of payloads."),
    "lint": ("livedebug_sender.cli.lint", "Say what is odd about payloads."),
    "check": ("livedebug_sender.cli.check", "Say whether payloads would arrive."),
    "intake": ("livedebug_sender.cli.intake", "Serve a local intake with a page to look at."),
    "forward": ("livedebug_sender.forwarder.command", "Forward tracers' payloads to Datadog."),
    "queue": ("livedebug_sender.cli.queue", "Look into a forwarder's queue, and mend it."),
    "demo": ("livedebug_sender.cli.demo", "Send the samples, and show what arrives."),
}

#: What a command comes to need when it has long begun.
_NEEDED_LATER = {"forward": ("prometheus_client",)}


class _Commands(click.Group):
    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(context, args)
        except click.NoSuchOption as wrong:
            words = f"{wrong.option_name} is no option before the command; a command's own options"
            raise click.UsageError(f"{words} follow it, such as: check --json", context) from None

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(context)
        # A shell that asks what to complete is told nothing about what came before.
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
    except ModuleNotFoundError:  # its package isn't
        return False


def _extra(name: str) -> str:
    return {"forward": "forwarder", "intake": "cli,intake"}.get(name, "cli")


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="livedebug-sender %(version)s")
def cli() -> None:
    """Live Debugger and Symbol Database payloads: send them, check the way, look at them.

    Where to send is taken from the variables that Datadog's tracers use: DD_API_KEY
    (then agentless, at DD_SITE), DD_TRACE_AGENT_URL, DD_AGENT_HOST and
    DD_TRACE_AGENT_PORT; options override them. An API key is given by DD_API_KEY or a
    file, never on the command line.

    Ends with 0: done; 1: not (wholly) done; 2: wrong use.
    """
    # As the output of errors does from the start: under LC_ALL=C, or in a pipe with another
    # encoding, what it lacks would raise.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
