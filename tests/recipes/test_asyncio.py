"""The recipe for asyncio applications."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading

import pytest
from running_recipes import PATIENCE, PROGRAMS, environ_for, load, messages
from servers import Arrived, RecordingServer


def test_an_asyncio_application_delivers_what_its_loop_enqueued_by_its_end() -> None:
    with RecordingServer() as intake:
        program = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "asyncio_app.py")],
            env=environ_for(intake.url),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert program.stdout is not None
            with program.stdout as output:
                port = int(output.readline().split()[1])
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                    lines = [f"line {n}\n" for n in range(20)]
                    client.sendall("".join(lines).encode())
                    echo = client.makefile("r")
                    assert [echo.readline() for _ in lines] == lines
                    echo.close()
                program.send_signal(signal.SIGTERM)
                assert program.wait(PATIENCE) == 0
        finally:
            program.kill()
            program.wait()
        assert messages(intake.elements()) == [line.strip() for line in lines]


def test_the_loop_goes_on_while_the_sender_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, went_on = threading.Event(), threading.Event()

    def answer(request: Arrived) -> int:
        arrived.set()
        return 202 if went_on.wait(PATIENCE) else 500

    async def live() -> bool:
        program.sender.enqueue("logs", {"message": "last", "debugger": {}})
        closing = asyncio.create_task(program.shut_down())
        while not arrived.is_set():
            await asyncio.sleep(0.01)
        assert not closing.done()
        went_on.set()
        return bool(await closing)

    with RecordingServer(answer) as intake:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", intake.url)
        program = load("asyncio_app")
        assert asyncio.run(live())
        assert messages(intake.elements()) == ["last"]
