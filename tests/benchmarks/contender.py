"""A process that runs functions of contenders.py; one for each side of a comparison."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from intake import Intake

OWN_COMMAND = (sys.executable, str(Path(__file__).with_name("contenders.py")))


class Contender:
    """One such process.

    Args:
        command: starts it; another Python, or another checkout's package.
    """

    def __init__(self, intake: Intake, command: Sequence[str] = OWN_COMMAND) -> None:
        authority = {"REQUESTS_CA_BUNDLE": intake.authority, "SSL_CERT_FILE": intake.authority}
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "NO_PROXY": "localhost,127.0.0.1", **authority},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, function: str, arguments: dict[str, object]) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([function, arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{function}({arguments}) failed; its error is above")
        figures: dict[str, float] = json.loads(answer)
        return figures

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
