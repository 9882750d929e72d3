"""The tutorial of docs/own_tracer.rst, done as it says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from running_recipes import PATIENCE, PROGRAMS, environ_for
from web_servers import running

from livedebug_sender.intake.server import Intake

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is of 3.12")

IMAGES = PROGRAMS.parents[1] / "images"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader of the tutorial wrote the files."""
    shutil.copy(PROGRAMS / "tutorial_shop.py", tmp_path / "shop.py")
    for program in (PROGRAMS / "own_tracer").glob("*.py"):
        shutil.copy(program, tmp_path)
    return tmp_path


@pytest.fixture
def _asked_once(folder: Path, livedebug_intake: Intake) -> None:
    """Steps 5 to 7: the application under gunicorn, one request, and its end."""
    pytest.importorskip("gunicorn")
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"]
    command += ["-b", "127.0.0.1:0", "app:app"]
    environ = environ_for(livedebug_intake.url)
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), environ["PYTHONPATH"]])
    with running(command, folder, 2, **environ) as (server, port):
        url = f"http://127.0.0.1:{port}/?keyboard=90&mouse=30"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            assert answer.read() == b"108.0\n"
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)
    assert "Traceback" not in (folder / "log").read_text()


def test_the_tests_of_the_tutorials_tracer_pass(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tracer.py"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 passed" in ended.stdout


@pytest.mark.usefixtures("_asked_once")
def test_a_forked_worker_sends_the_snapshot_of_its_line_under_its_own_runtime_id(
    livedebug_intake: Intake,
) -> None:
    (snapshot,) = livedebug_intake.payloads("snapshots")
    inside = snapshot["debugger"]["snapshot"]
    assert inside["captures"]["lines"]["7"]["locals"]["total"]["value"] == "120.0"
    assert [frame["function"] for frame in inside["stack"][:2]] == ["checkout", "app"]

    statuses = [p["debugger"]["diagnostics"] for p in livedebug_intake.payloads("diagnostics")]
    by_status = {status["status"]: status["runtimeId"] for status in statuses}
    # In any order: the master's may come after the worker's.
    assert set(by_status) == {"RECEIVED", "INSTALLED", "EMITTING"}
    assert by_status["RECEIVED"] == by_status["INSTALLED"] != by_status["EMITTING"]
    assert livedebug_intake.findings() == []


#: A value whose own methods all fail, and one that is too large, too deep, a secret.
HOSTILE = """
import snapshots

class Hostile(int):
    def fail(self, *_):
        raise SystemExit("the program's own code ran")
    __getattr__ = __getattribute__ = __repr__ = __str__ = __eq__ = __iter__ = __len__ = fail
    __hash__ = int.__hash__

class Slots:
    __slots__ = ()

deep = []
for _ in range(50):
    deep = [deep]
values = {
    "hostile": Hostile(1), "slots": Slots(), "deep": deep, "many": list(range(1000)),
    "huge": 10**5000, "long": "x" * 1000, "password": "hunter2", "inside": {"token": "hunter2"},
    "nothing": None, "itself": snapshots,
}
import json
print(json.dumps(snapshots.variables(values)))
"""


def test_a_capture_is_bounded_and_runs_nothing_of_the_program(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HOSTILE], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert "hunter2" not in ended.stdout
    assert len(ended.stdout) < 100_000
    shown: dict[str, Any] = json.loads(ended.stdout)
    assert shown["hostile"] == {"type": "Hostile", "fields": {}}
    assert shown["slots"] == {"type": "Slots", "fields": {}}
    assert shown["many"]["size"] == 1000
    assert (len(shown["many"]["elements"]), shown["many"]["notCapturedReason"]) == (
        20,
        "collectionSize",
    )
    assert shown["huge"] == {"type": "int", "notCapturedReason": "ValueError"}
    assert (len(shown["long"]["value"]), shown["long"]["size"]) == (255, 1000)
    assert shown["password"] == {"type": "str", "notCapturedReason": "redactedIdent"}
    assert shown["nothing"] == {"type": "NoneType", "isNull": True}
    deep = shown["deep"]
    while "elements" in deep:
        (deep,) = deep["elements"]
    assert deep["notCapturedReason"] == "depth"


#: The paths of whoever makes the pictures are not in them.
AS_A_READER_HAS_IT = """
document.activeElement.blur();
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
    const text = texts.currentNode;
    text.data = text.data.replaceAll(arguments[0], '/app').replaceAll(arguments[1], '/venv');
}
"""


@pytest.mark.browser
@pytest.mark.usefixtures("_asked_once")
def test_the_page_shows_the_snapshot_of_the_tutorials_tracer(
    browser: Any, livedebug_intake: Intake, folder: Path, request: pytest.FixtureRequest
) -> None:
    from browsing import Page

    page = Page(browser, livedebug_intake.url)
    page.size(1360, 640)
    for scheme in ("light", "dark"):
        page.prefer(color_scheme=scheme)
        page.open()
        page.click("#list .row", "checkout reached line 7")
        page.until(lambda: "120.0" in page.text("#detail"))
        assert "checkout-total" in page.text("#detail")
        if request.config.getoption("--screenshots"):
            page.run(AS_A_READER_HAS_IT, str(folder), sys.prefix)
            browser.save_screenshot(str(IMAGES / f"own_tracer_{scheme}.png"))
    page.prefer()
    browser.get("about:blank")  # before the intake goes
