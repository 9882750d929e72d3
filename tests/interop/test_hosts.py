"""Hosts that wrap threads or trace lines: what is enqueued arrives, once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from programs import run
from servers import RawServer, RecordingServer, hang

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
    "newrelic": (
        'os.environ["NEW_RELIC_MONITOR_MODE"] = "false"; os.environ["NEW_RELIC_LOG"] = os.devnull\n'
        "import newrelic.agent; newrelic.agent.initialize()",
        ["newrelic"],
    ),
    "elasticapm": (
        "import elasticapm; elasticapm.instrument()\n"
        'client = elasticapm.Client(service_name="shop", server_url="http://127.0.0.1:9",'
        ' cloud_provider="none", central_config=False, log_level="off")',
        ["elasticapm"],
    ),
    "pyinstrument": ("import pyinstrument; pyinstrument.Profiler().start()", ["pyinstrument"]),
    "debugpy": ('import debugpy; debugpy.listen(("127.0.0.1", 0))', ["debugpy"]),
    "settrace": (
        "import threading\ndef trace(*_): return trace\n"
        "sys.settrace(trace); threading.settrace(trace)",
        [],
    ),
    "monitoring": (
        "if sys.version_info >= (3, 12):\n"
        "    sys.monitoring.use_tool_id(5, 'host')\n"
        "    sys.monitoring.register_callback(5, sys.monitoring.events.LINE, lambda *_: None)\n"
        "    sys.monitoring.set_events(5, sys.monitoring.events.LINE)",
        [],
    ),
    "gevent": ("from gevent import monkey; monkey.patch_all()", ["gevent"]),
    "eventlet": ("import eventlet; eventlet.monkey_patch()", ["eventlet"]),
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
        assert done.returncode == 0, done.stderr
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
        assert done.returncode == 0, done.stderr
        assert sorted(e["n"] for e in intake.elements()) == [0, 1, 2]


@pytest.mark.parametrize("hangs", [False, True])
def test_under_eventlet_close_raises_nothing_and_returns_in_time(hangs: bool) -> None:
    pytest.importorskip("eventlet", reason="eventlet is not installed")
    with RawServer(hang) if hangs else RecordingServer() as intake:
        script = """
            import eventlet; eventlet.monkey_patch()
            config.set_endpoint(Endpoint(sys.argv[1], timeout=60))
            sender = Sender(config)
            sender.enqueue("logs", b"{}")
            assert sender.close(2.0) is HANGS_NOT
            assert sender.stats().pending == 0
        """
        done = run(script.replace("HANGS_NOT", str(not hangs)), intake.url, timeout=40)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_under_eventlet_a_track_that_a_native_thread_began_is_not_stuck() -> None:
    pytest.importorskip("eventlet", reason="eventlet is not installed")
    with RecordingServer() as intake:
        script = """
            import eventlet; eventlet.monkey_patch()
            native = eventlet.patcher.original("threading")
            sender = Sender(config)
            native.Thread(target=lambda: sender.enqueue("logs", b"[0]")).start()
            end = time.monotonic() + 20
            while not sender.stats().delivered and time.monotonic() < end:
                time.sleep(0.05)
                sender.enqueue("logs", b"[1]")
            assert sender.close(20)
        """
        done = run(script, intake.url)
        assert done.returncode == 0, done.stderr
        assert 0 in intake.elements()


@pytest.mark.parametrize("unload", ["true", "false"], ids=["with gevent", "without gevent"])
def test_under_ddtrace_run_with_its_profiler_a_short_program_ends_and_delivers(unload: str) -> None:
    pytest.importorskip("ddtrace")
    program = (
        "import sys; from livedebug_sender import *\n"
        "config = SenderConfig(); config.set_endpoint(Endpoint(sys.argv[1]))\n"
        "sender = Sender(config, shutdown_timeout=20)\n"
        "for n in range(300): assert sender.enqueue('logs', {'n': n})\n"
    )
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DD_TRACE_ENABLED": "false",
        "DD_PROFILING_ENABLED": "true",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": unload,
    }
    command = [str(Path(sys.executable).with_name("ddtrace-run")), sys.executable, "-c", program]
    with RecordingServer() as intake:
        done = subprocess.run([*command, intake.url], env=environ, timeout=60, check=False)
        assert done.returncode == 0
        assert [e["n"] for e in intake.elements()] == list(range(300))
