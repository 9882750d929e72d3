"""Runs the command: in this process, or as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from click.testing import CliRunner, Result

from livedebug_sender.cli.main import cli


def environment(**variables: str) -> dict[str, str | None]:
    """The DD_* variables that are given, and no others."""
    none = {name: None for name in os.environ if name.startswith("DD_")}
    return {**none, **variables}


def run(*arguments: object, stdin: bytes | None = None, **variables: str) -> Result:
    """The result has `stdout`, `stderr` and `exit_code`."""
    texts = [str(argument) for argument in arguments]
    env = environment(**variables)
    return CliRunner().invoke(cli, texts, input=stdin, env=env, prog_name="livedebug-sender")


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """``python -m livedebug_sender`` in a process of its own."""
    command = [sys.executable, "-m", "livedebug_sender", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("DD_")}
    env["PYTHONUNBUFFERED"] = "1"
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
