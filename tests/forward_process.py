"""The forwarder's command in a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from running_forwarder import environ

COMMAND = (
    sys.executable,
    "-c",
    "from livedebug_sender.forwarder.command import forward; forward()",
)


class Process:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def wait_for(self, pattern: str) -> re.Match[str]:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            match = re.search(pattern, "".join(self.lines))
            if match:
                return match
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.02)
        raise AssertionError("".join(self.lines))

    def wait_for_exit(self) -> tuple[int, str]:
        """Its exit status and all that it said."""
        status = self.process.wait(30)
        self._thread.join(10)
        return status, "".join(self.lines)

    def address(self) -> str:
        return self.wait_for(r"forwarding \(.*\) from (\S+)")[1].rstrip(",")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._thread.join(10)
        return code


@contextmanager
def started(command: Any, variables: dict[str, str]) -> Iterator[Process]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DD_")}
    process = subprocess.Popen(
        command,
        env={**kept, **variables},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Process(process)
    finally:
        with suppress(ProcessLookupError):  # with its workers
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        if process.stderr is not None:
            process.stderr.close()


def forwarding(intake: str, *arguments: str, prefix: tuple[str, ...] = (), **variables: str) -> Any:
    """The command in front of an intake; `prefix`: of the command line."""
    listen = arguments or ("--listen", "127.0.0.1:0")
    return started((*prefix, *COMMAND, *listen), environ(intake, **variables))
