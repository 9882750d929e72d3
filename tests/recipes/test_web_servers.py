"""The recipes for gunicorn and uWSGI."""

from __future__ import annotations

import signal
import sys
import urllib.request
from pathlib import Path

import pytest
from running_recipes import PATIENCE, environ_for, messages
from servers import RecordingServer
from web_servers import UWSGI, running

pytestmark = pytest.mark.waits


def ask(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def serve(command: list[str], folder: Path, intake: RecordingServer) -> list[str]:
    """Ask a server's workers, end it by SIGTERM, and give what it answered."""
    environ = environ_for(intake.url)
    with running(command, folder, **environ) as (server, port):
        answers = [ask(port, f"/orders/{number}") for number in range(20)]
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)
    assert "Traceback" not in (folder / "log").read_text()
    return answers


def test_flask_under_gunicorn_with_preload_delivers_what_its_workers_enqueued(
    tmp_path: Path,
) -> None:
    pytest.importorskip("gunicorn")
    pytest.importorskip("flask")
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2"]
    command += ["-b", "127.0.0.1:0", "flask_app:app"]
    with RecordingServer() as intake:
        answers = serve(command, tmp_path, intake)
        assert sorted(messages(intake.elements())) == sorted(answers)


def test_uwsgi_delivers_what_was_enqueued_while_it_loaded_and_by_its_workers(
    tmp_path: Path,
) -> None:
    pytest.importorskip("pyuwsgi")
    with RecordingServer() as intake:
        answers = serve([*UWSGI, "uwsgi_app:app"], tmp_path, intake)
        loaded, *others = messages(intake.elements())
        assert loaded.startswith("loaded in ")
        assert sorted(others) == sorted(answers)
