"""Every option of every command that is a size or a time takes units and plain numbers alike."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from running_cli import run

from livedebug_sender.cli.main import COMMANDS, cli

#: By what the help calls them.
TAKEN = {
    "SIZE": {"64MiB": 2**26, "64mib": 2**26, "1.5kB": 1500, "4096": 4096, "1B": 1},
    "TIME": {"200ms": 0.2, "3s": 3.0, "5m": 300.0, "0.5": 0.5, "12h": 43_200.0, "7": 7.0},
    "COUNT": {"5000": 5000, "1": 1},
}
REFUSED = {
    "SIZE": {"64M", "0", "-1", "1.5", "", "lots"},
    "TIME": {"soon", "5x", "-1", "", "1h30m"},
    "COUNT": {"0", "-1", "1.5", "3MiB", ""},
}
#: What the command needs besides, to get as far as its options.
ARGUMENTS = {"send": ["-"]}


def options() -> Iterator[tuple[str, click.Option]]:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter


QUANTITIES = {
    f"{name} {option.opts[0]}": (name, option)
    for name, option in options()
    if option.metavar in TAKEN and not isinstance(option.type, click.IntRange)
}


def test_every_option_that_is_a_quantity_is_in_the_table() -> None:
    """A default that is a number, or has a unit, is one's, whatever the help calls it."""
    assert set(QUANTITIES) >= {
        "send --retry-for", "check --timeout", "intake --keep-bytes", "intake --max-body",
        "forward --timeout", "forward --max-body-bytes", "forward --max-at-once-bytes",
        "forward --receive-timeout", "forward --queue-bytes", "forward --queue-min-free",
        "forward --max-age", "forward --grace", "forward --workers",
    }  # fmt: skip
    words = ("time", "bytes", "size", "age", "grace", "body", "free", "retry")
    missed = [
        f"{name} {option.opts[0]}"
        for name, option in options()
        if any(word in (option.name or "").split("_") for word in words)
        and not option.is_flag
        and option.metavar not in TAKEN
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("name", "option", "given", "value"),
    [
        (name, option, given, value)
        for name, option in QUANTITIES.values()
        for given, value in TAKEN[str(option.metavar)].items()
    ],
    ids=lambda part: part.opts[0] if isinstance(part, click.Option) else repr(part),
)
def test_a_quantity_is_taken_with_a_unit_and_as_a_plain_number(
    name: str, option: click.Option, given: str, value: float
) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    arguments = [*ARGUMENTS.get(name, []), option.opts[0], given]
    context = command.make_context(name, arguments, resilient_parsing=False)
    assert context.params[str(option.name)] == value


@pytest.mark.parametrize(
    ("name", "option", "given"),
    [
        (name, option, given)
        for name, option in QUANTITIES.values()
        for given in sorted(REFUSED[str(option.metavar)])
    ],
    ids=lambda part: part.opts[0] if isinstance(part, click.Option) else repr(part),
)
def test_what_is_none_is_wrong_use_that_names_the_option(
    name: str, option: click.Option, given: str
) -> None:
    ended = run(name, *ARGUMENTS.get(name, []), option.opts[0], given, stdin=b"", DD_API_KEY="k")
    assert ended.exit_code == 2, ended.output
    assert f"{option.opts[0]} is {given!r}; expected: a " in ended.stderr
