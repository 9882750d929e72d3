"""Under the servers that fork: what every process enqueues arrives, once."""

from __future__ import annotations

import json
import signal
import ssl
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from programs import run
from servers import RecordingServer, Reply, free_port
from web_servers import PATIENCE, UWSGI, running

#: Enqueues once when it is loaded, which with preloading is in the parent, and in each
#: request; answers with what it enqueued.
APPLICATION = """
import itertools, json, os, sys
from livedebug_sender import Endpoint, Sender, SenderConfig

config = SenderConfig()
config.set_endpoint(Endpoint(os.environ["INTAKE"], timeout=20))
sender = Sender(config, shutdown_timeout=20)
if os.environ["EARLY"] == "yes":
    sender.enqueue("logs", {"pid": os.getpid(), "n": -1})
    if "uwsgi" in sys.modules:
        # Before uWSGI has forked no thread is started: it would block its workers.
        sender.flush()
numbers = itertools.count()

def app(environ, start_response):
    payload = {"pid": os.getpid(), "n": next(numbers)}
    assert sender.enqueue("logs", payload)
    body = json.dumps(payload).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "application.py").write_text(APPLICATION)
    return tmp_path


def ask(port: int) -> tuple[int, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
        told = json.load(answer)
    return told["pid"], told["n"]


def use(command: list[str], folder: Path, intake: RecordingServer, early: str) -> str:
    """Ask often, end the server by SIGTERM; all that was enqueued arrived once. Its log."""
    with running(command, folder, INTAKE=intake.url, EARLY=early) as (server, port):
        enqueued = [ask(port) for _ in range(40)]
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)
    arrived = Counter((e["pid"], e["n"]) for e in intake.elements())
    assert {one: count for one, count in arrived.items() if one[1] >= 0} == Counter(enqueued)
    # While it was loaded: by the process that forks, or by each that was forked.
    assert any(n == -1 for _, n in arrived) == (early == "yes")
    assert set(arrived.values()) == {1}
    return (folder / "log").read_text()


# Of three things, each pair of values: gevent patches ssl and locks, so there all of them.
@pytest.mark.waits
@pytest.mark.parametrize(
    ("worker", "scheme", "early"),
    [
        ("sync", "http", "yes"),
        ("sync", "https", "no"),
        ("gthread", "http", "no"),
        ("gthread", "https", "yes"),
        ("gevent", "http", "yes"),
        ("gevent", "http", "no"),
        ("gevent", "https", "yes"),
        ("gevent", "https", "no"),
    ],
)
def test_gunicorn_with_preload_delivers_what_every_process_enqueued_once(
    application: Path,
    worker: str,
    scheme: str,
    early: str,
    server_tls: ssl.SSLContext,
    trusted: None,
) -> None:
    pytest.importorskip("gunicorn")
    if worker == "gevent":
        pytest.importorskip("gevent")
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-k", worker]
    command += ["--threads", "4"] if worker == "gthread" else []
    command += ["--graceful-timeout", "10", "-b", "127.0.0.1:0", "application:app"]
    with RecordingServer(tls=server_tls if scheme == "https" else None) as intake:
        log = use(command, application, intake, early)
    assert "Traceback" not in log
    assert "MonkeyPatchWarning" not in log


@pytest.mark.waits
@pytest.mark.parametrize("early", ["yes", "no"])
@pytest.mark.parametrize("lazy", [True, False])
def test_uwsgi_delivers_what_every_process_enqueued_once(
    application: Path, lazy: bool, early: str
) -> None:
    pytest.importorskip("pyuwsgi")
    command = [*UWSGI, "application:app", *(["--lazy-apps"] if lazy else [])]
    with RecordingServer() as intake:
        log = use(command, application, intake, early)
    assert "Traceback" not in log


@pytest.mark.waits
@pytest.mark.parametrize("lazy", [True, False])
def test_a_uwsgi_worker_that_ends_delivers_over_a_new_tls_connection(
    application: Path, lazy: bool, server_tls: ssl.SSLContext, trusted: None
) -> None:
    # The first payload has the worker load `ssl`, long after uWSGI has loaded the application.
    pytest.importorskip("pyuwsgi")
    command = [*UWSGI, "application:app", "--processes", "1", *(["--lazy-apps"] if lazy else [])]
    with RecordingServer(Reply(hang_up=True), tls=server_tls) as intake:
        environ = {"INTAKE": intake.url, "EARLY": "no"}
        with running(command, application, workers=1, **environ) as (server, port):
            enqueued = [ask(port)]
            intake.wait_for(1)
            enqueued.append(ask(port))
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)
    assert [(e["pid"], e["n"]) for e in intake.elements()] == enqueued


def test_under_gevent_a_short_program_that_never_flushes_delivers_at_its_exit() -> None:
    # There each look-up of a name needs a thread, which can't be started any more.
    pytest.importorskip("gevent")
    with RecordingServer() as intake:
        script = """
            from gevent import monkey; monkey.patch_all()
            sender = Sender(config, shutdown_timeout=20)
            for n in range(300):
                assert sender.enqueue("logs", {"n": n})
        """
        done = run(script, intake.url.replace("127.0.0.1", "localhost"))
        assert (done.returncode, done.stderr) == (0, "")
        assert [e["n"] for e in intake.elements()] == list(range(300))


def test_under_gevent_an_agent_that_is_down_is_named_as_such_at_the_exit() -> None:
    pytest.importorskip("gevent")
    script = """
        from gevent import monkey; monkey.patch_all()
        sender = Sender(config, shutdown_timeout=20, retry_for=0)
        assert sender.enqueue("logs", b"{}")
    """
    done = run(script, f"http://localhost:{free_port()}")
    assert "connection refused" in done.stderr
