"""Short programs with a sender in them, run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def run(script: str, *args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program with a `sender` to the URL of its first argument."""
    head = """
        import os, sys, time
        from livedebug_sender import *
        config = SenderConfig()
        config.set_endpoint(Endpoint(sys.argv[1]))
        for url in sys.argv[2:]:
            config.add_additional_debugger_endpoint(Endpoint(url))
        sender = Sender(config, shutdown_timeout=20)  # the machine may be a busy one
    """
    text = textwrap.dedent(head) + textwrap.dedent(script)
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
    environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", text, *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environ,
        check=False,
    )
