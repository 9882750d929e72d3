"""The recipe for AWS-Lambda-like handlers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from running_recipes import PATIENCE, environ_for, load, messages
from servers import RawServer, RecordingServer, hang

#: Three invocations; then the environment is thrown away, without an end of the interpreter.
PLATFORM = """
import os
from lambda_handler import handler

class Context:
    def get_remaining_time_in_millis(self):
        return 30_000

for order in range(3):
    assert handler({"order": order}, Context()) == {"statusCode": 200}
os._exit(0)
"""


class Hurry:
    """The context of an invocation with little time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 300


def test_each_invocation_delivers_what_it_enqueued_before_it_ends() -> None:
    with RecordingServer() as intake:
        subprocess.run(
            [sys.executable, "-c", PLATFORM],
            env=environ_for(intake.url),
            timeout=PATIENCE,
            check=True,
        )
        assert messages(intake.elements()) == ["order 0", "order 1", "order 2"]
        assert len(intake.posts) == 3


def test_an_intake_that_hangs_does_not_take_an_invocation_past_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer(hang) as intake:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", intake.url)
        program = load("lambda_handler")
        done = threading.Event()

        def invoke() -> None:
            program.handler({"order": 1}, Hurry())
            done.set()

        start = time.monotonic()
        threading.Thread(target=invoke, daemon=True).start()
        assert done.wait(PATIENCE)
        assert time.monotonic() - start < 3.0  # 0.1 s on an idle machine
        program.sender.close(0)
