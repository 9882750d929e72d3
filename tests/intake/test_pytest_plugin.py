"""The plugin as a user's own tests meet it: in another pytest, by its entry point."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from livedebug_sender.intake.server import Intake

USERS_TEST = """
from livedebug_sender import Endpoint, SenderConfig, Sender

def test_my_tracer_sends_its_logs(livedebug_intake):
    config = SenderConfig()
    config.set_endpoint(Endpoint(livedebug_intake.url))
    with Sender(config, tags="env:test") as sender:
        sender.enqueue("logs", {"debugger": {"snapshot": {}}, "message": "hello"})
        (payload,) = livedebug_intake.wait_for(1, timeout=20.0)
    assert payload["message"] == "hello"
    assert livedebug_intake.payloads("logs") == [payload]
    assert livedebug_intake.payloads("snapshots") == []
    (request,) = livedebug_intake.requests
    assert (request.path, request.tags) == ("/debugger/v2/input", "env:test")

def test_each_test_has_its_own(livedebug_intake):
    assert livedebug_intake.requests == []
"""


def run_pytest(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_users.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(
        [*command, str(folder)], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_a_users_test_gets_the_fixture_by_installing_the_package(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, USERS_TEST)
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr


def test_without_the_extra_other_tests_pass_and_the_fixture_says_what_to_install(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text(
        "import sys\nfor name in ('flask', 'waitress', 'werkzeug'):\n    sys.modules[name] = None\n"
    )
    other = "\ndef test_that_needs_nothing():\n    pass\n"
    ended = run_pytest(tmp_path, USERS_TEST + other)
    assert "1 passed, 2 errors" in ended.stdout, ended.stdout + ended.stderr
    assert 'pip install "livedebug-sender[intake]"' in ended.stdout


def test_the_plugin_loads_nothing_heavy() -> None:
    (found,) = [ep for ep in entry_points(group="pytest11") if ep.name == "livedebug_sender"]
    module, heavy = found.value, ("flask", "werkzeug", "waitress", "requests", "urllib3", "ssl")
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        f"import {module}\n"
        f"print(*[name for name in {heavy} if name in set(sys.modules) - before])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.stdout.strip(), ended.stderr) == ("", "")


def test_in_this_suite_the_fixture_works_too(livedebug_intake: Intake) -> None:
    assert livedebug_intake.requests == []
    with pytest.raises(AssertionError):
        livedebug_intake.wait_for(1, timeout=0.01)
