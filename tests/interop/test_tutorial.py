"""The tutorial of docs/intake.rst, done as it says, with the real ddtrace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from running_cli import start
from running_recipes import PROGRAMS
from waiting import until

pytest.importorskip("ddtrace")
pytestmark = pytest.mark.interop

DOCS = Path(__file__).parents[2] / "docs" / "intake.rst"
PATIENCE = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader of the tutorial wrote the files."""
    shutil.copy(PROGRAMS / "tutorial_shop.py", tmp_path / "shop.py")
    shutil.copy(PROGRAMS / "tutorial_run.py", tmp_path / "run.py")
    shutil.copy(PROGRAMS / "tutorial_probes.json", tmp_path / "probes.json")
    return tmp_path


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """Step 4: the intake, which serves the probes."""
    options = ("--port", "0", "--json", "--probes", str(folder / "probes.json"))
    with start("intake", *options) as intake:
        assert intake.stdout is not None
        yield str(json.loads(intake.stdout.readline())["url"])
        intake.terminate()
        intake.communicate(timeout=30)


@pytest.fixture
def _traced(folder: Path, url: str) -> Iterator[None]:
    """Step 5: the program under the tracer."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DD_", "_DD_")) and name != "PYTHONPATH"
    }
    environ |= {
        "DD_TRACE_AGENT_URL": url,
        "DD_DYNAMIC_INSTRUMENTATION_ENABLED": "true",
        "DD_SERVICE": "shop",
    }
    runner = Path(sys.executable).with_name("ddtrace-run")
    program = subprocess.Popen(
        [runner, sys.executable, "run.py"],
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield
    program.terminate()
    program.wait(30)


def asked(url: str, path: str) -> Any:
    return requests.get(f"{url}/intake/{path}", timeout=20).json()


@pytest.mark.usefixtures("_traced")
def test_a_snapshot_is_on_the_screen_and_a_changed_file_of_probes_is_taken(
    folder: Path, url: str
) -> None:
    snapshots = "payloads?kind=snapshot&probe=checkout-total&service=shop"
    logs = "payloads?kind=log&probe=discount-given"
    assert until(lambda: asked(url, snapshots)["payloads"], PATIENCE)
    newest = asked(url, snapshots)["payloads"][0]
    assert newest["message"].startswith("total ")
    assert (Path(newest["file"]).name, newest["line"]) == ("shop.py", "7")
    frame = asked(url, f"payloads/{newest['id']}")["frame"]
    assert frame["stack"][0]["function"] == "checkout"
    (moment,) = frame["tree"]["nodes"]
    groups = {group["name"]: group["kids"] for group in moment["kids"]}
    assert [node["name"] for node in groups["arguments"]] == ["order"]
    assert "total" in [node["name"] for node in groups["locals"]]

    assert until(lambda: asked(url, logs)["payloads"], PATIENCE)
    assert " became " in asked(url, logs)["payloads"][0]["message"]
    probes = {probe["probe"]: probe for probe in asked(url, "probes")["probes"]}
    assert probes["checkout-total"]["history"][0]["status"] == "RECEIVED"

    text = (folder / "probes.json").read_text()
    (folder / "probes.json").write_text(text.replace("discount-given", "discount-seen"))
    assert until(lambda: asked(url, "payloads?kind=log&probe=discount-seen")["payloads"], PATIENCE)
    assert asked(url, "state")["totals"]["other"]["remote configuration"] >= 2
    ids = ",".join(row["id"] for row in asked(url, "payloads?limit=5")["payloads"])
    assert not any(asked(url, f"findings?ids={ids}").values())


def test_the_tutorial_names_these_files_and_commands() -> None:
    text = DOCS.read_text()
    for part in (
        "recipes/programs/tutorial_shop.py",
        "recipes/programs/tutorial_run.py",
        "recipes/programs/tutorial_probes.json",
        "livedebug-sender intake --probes probes.json",
        "DD_DYNAMIC_INSTRUMENTATION_ENABLED=true",
        "ddtrace-run python run.py",
    ):
        assert part in text
