"""The page of the command line shows what the commands really print."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from documented_commands import Command, commands_in, steady, write_outputs
from running_cli import environment
from sample_data import SAMPLES

from livedebug_sender.cli.main import cli
from livedebug_sender.intake.server import Intake

PAGE = Path(__file__).parents[2] / "docs" / "command_line.rst"
AGENT = "http://localhost:8126"
ODD = """[{
  "ddsource": "dd_debugger",
  "service": "shop",
  "debugger": {"diagnostics": {"probeId": 17, "runtimeId": "r", "status": "OK"}}
}]
"""


@pytest.fixture
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the commands run, with the files that they name."""
    for name in ("diagnostics.json", "logs.json", "snapshots.json", "symdb.body"):
        shutil.copy(SAMPLES / name, tmp_path)
    (tmp_path / "broken.jsonl").write_text('{"n": 1}\n{"n": \n{"n": 3}\n')
    (tmp_path / "odd.json").write_text(ODD)
    monkeypatch.chdir(tmp_path)


def output_of(command: Command, intake: Intake) -> str:
    """What a terminal shows, the intake in the place of the agent."""
    port = intake.url.rpartition(":")[2]
    # The file, and not only the port: NO_PROXY and IPv6 make "localhost" a wider matter.
    arguments = [argument.replace(AGENT, intake.url) for argument in command.arguments]
    env = environment(COLUMNS="80")
    # 80 columns less two, as in a terminal; the runner's own default is 80.
    ended = CliRunner().invoke(
        cli, arguments, env=env, prog_name="livedebug-sender", terminal_width=78
    )
    return steady(ended.output.replace(intake.url, AGENT).replace(f"port {port}", "port 8126"))


def names_of(group: click.Group) -> list[str]:
    """All commands, those of groups in groups too: ``queue``, ``queue list``."""
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inside = names_of(command) if isinstance(command, click.Group) else []
        found += [name, *(f"{name} {one}" for one in inside)]
    return found


@pytest.mark.usefixtures("_folder")
def test_the_page_shows_what_the_commands_print(
    livedebug_intake: Intake, request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--write-docs"):
        write_outputs(PAGE, lambda command: output_of(command, livedebug_intake))
    for command in commands_in(PAGE):
        real = output_of(command, livedebug_intake).split("\n")
        assert command.output == real, f"$ {command.line}: run pytest --write-docs, and look"


def test_the_page_shows_the_help_of_every_command() -> None:
    shown = {command.line for command in commands_in(PAGE)}
    missing = [name for name in names_of(cli) if f"livedebug-sender {name} --help" not in shown]
    assert missing == []
