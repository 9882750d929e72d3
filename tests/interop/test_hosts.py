"""Hosts that wrap threads or trace lines: what is enqueued arrives, once."""

from __future__ import annotations

import importlib.util

import pytest
from programs import run
from servers import RecordingServer

pytestmark = pytest.mark.interop

#: What a program does before it makes a sender, by host; the modules that it needs.
HOSTS = {
    "plain": ("", []),
    "sentry": ('import sentry_sdk; sentry_sdk.init(dsn="", shutdown_timeout=0)', ["sentry_sdk"]),
    "opentelemetry": (
        "from opentelemetry.instrumentation.threading import ThreadingInstrumentor\n"
        "ThreadingInstrumentor().instrument()",
        ["opentelemetry.instrumentation.threading"],
    ),
    "settrace": (
        "import threading\ndef trace(*_): return trace\n"
        "sys.settrace(trace); threading.settrace(trace)",
        [],
    ),
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    program, modules = HOSTS[request.param]
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            pytest.skip(f"{module} is not installed")
    indented = program.replace("\n", "\n            ")
    return f"{indented}\n            sender = Sender(config, shutdown_timeout=20)"


def test_a_short_program_that_never_flushes_delivers_at_its_exit(host: str) -> None:
    with RecordingServer() as intake:
        script = f"""
            {host}
            for n in range(300):
                assert sender.enqueue("logs", {{"n": n}})
        """
        done = run(script, intake.url)
        assert (done.returncode, "livedebug" in done.stderr) == (0, False), done.stderr
        assert [e["n"] for e in intake.elements()] == list(range(300))


def test_a_program_that_lives_on_and_forks_delivers_in_both_processes(host: str) -> None:
    with RecordingServer() as intake:
        script = f"""
            {host}
            assert sender.enqueue("logs", {{"n": 0}})
            while not sender.stats().delivered:
                time.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                ok = sender.enqueue("logs", {{"n": 1}}) and sender.flush(20)
                os._exit(0 if ok else 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert sender.enqueue("logs", {{"n": 2}})
        """
        done = run(script, intake.url)
        assert (done.returncode, "Error" in done.stderr) == (0, False), done.stderr
        assert sorted(e["n"] for e in intake.elements()) == [0, 1, 2]
