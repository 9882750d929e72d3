"""The commands that a page of the docs shows, and what they print.

In a ``console`` block a line that begins with ``$`` is a command, and what follows is its
output, up to the next command. ``pytest --write-docs`` puts the real output there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = ".. code-block:: console"
_INDENT = "   "
#: What differs from run to run, and what the docs show in its place.
_VARIABLE = (
    (re.compile(r"\b\d+(?:\.\d+)? ms\b"), "1 ms"),
    # Ports of five digits are those that the system chose; 8126 is a default.
    (re.compile(r"127\.0\.0\.1:\d{5}\b"), "127.0.0.1:40000"),
    (re.compile(r"host_name:[^,\s]+"), "host_name:laptop"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


@dataclass
class Command:
    line: str
    output: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.line)[1:]


def steady(text: str) -> str:
    """An output without what differs from run to run."""
    for pattern, shown in _VARIABLE:
        text = pattern.sub(shown, text)
    return text.strip("\n")


def commands_in(page: Path) -> list[Command]:
    return [part for part in _parts(page.read_text()) if isinstance(part, Command)]


def write_outputs(page: Path, output_of: Callable[[Command], str]) -> None:
    """Put the real output behind each command."""
    lines: list[str] = []
    for part in _parts(page.read_text()):
        if isinstance(part, str):
            lines.append(part)
            continue
        lines.append(f"{_INDENT}$ {part.line}")
        lines += [(_INDENT + line).rstrip() for line in output_of(part).split("\n")]
        lines.append("")
    text = "\n".join(lines)
    page.write_text(re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n")


def _parts(text: str) -> list[str | Command]:
    """The page's lines, commands with their outputs taken together."""
    parts: list[str | Command] = []
    command: Command | None = None
    inside = False
    for line in text.split("\n"):
        if line.startswith(_BLOCK):
            inside, command = True, None
        elif inside and line and not line.startswith(_INDENT):
            inside, command = False, None
        if inside and line.startswith(f"{_INDENT}$ "):
            command = Command(line.removeprefix(f"{_INDENT}$ "))
            parts.append(command)
        elif command is not None:
            command.output.append(line.removeprefix(_INDENT).rstrip())
        else:
            parts.append(line)
    for part in parts:
        if isinstance(part, Command):
            while part.output and not part.output[-1]:
                part.output.pop()
    return parts
