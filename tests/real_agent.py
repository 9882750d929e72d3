"""The Datadog Agent's own receiver, built from its Go module: what the forwarder is held against.

Its sources are in tests/agent. Building takes minutes the first time, and needs Go and its
module proxy; what was built is kept in a folder of the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "agent"
_FILES = ("go.mod", "go.sum", "main.go")


@dataclass(frozen=True)
class RunningAgent:
    address: str
    pid: int


def go() -> str | None:
    """Go's command, where it is found."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def built_agent() -> Path:
    """The path of the receiver; it is built if it is not there yet."""
    command = go()
    assert command, "needs Go"
    sources = hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in _FILES))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "livedebug-sender" / f"agent-{sources.hexdigest()[:16]}"
    binary = folder / "receiver"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"receiver.{os.getpid()}"
        build = [command, "build", "-o", str(unfinished), "."]
        subprocess.run(build, cwd=SOURCES, check=True)
        unfinished.rename(binary)
    return binary


@contextmanager
def running_agent(variables: dict[str, str]) -> Iterator[RunningAgent]:
    """A receiver; the variables are the Agent's, and ``AGENT_VERSION``."""
    process = subprocess.Popen(
        [str(built_agent())],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield RunningAgent(process.stdout.readline().strip(), process.pid)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
