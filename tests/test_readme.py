"""What the README shows works, and its figures are those of their sources."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from servers import RecordingServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = " ".join(README.split())


def test_the_program_of_the_readme_runs_and_its_payloads_arrive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    with RecordingServer() as agent:
        for name in [name for name in os.environ if name.startswith("DD_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("DD_TRACE_AGENT_URL", agent.url)
        exec(program, {"body": b"symbols"})
        assert sorted(p.path for p in agent.posts) == ["/debugger/v2/input", "/symdb/v1/input"]
    assert capsys.readouterr().out == "Counter()\n"  # nothing was dropped


def test_every_command_of_the_readme_is_there() -> None:
    from livedebug_sender.cli.main import COMMANDS

    named = set(re.findall(r"livedebug-sender (\w+)", README)) - {"livedebug"}
    assert named <= set(COMMANDS)
    assert len(named) >= 5
    for script in re.findall(r"scripts/\w+", README):
        assert os.access(ROOT / script, os.X_OK), script
    tox = (ROOT / "tox.ini").read_text()
    for environment in re.findall(r"tox run -e (\w+)", README):
        assert f"[testenv:{environment}]" in tox


@pytest.mark.parametrize(
    ("said", "row"),
    [
        (r"takes ([\d.]+) of the time of `queue.Queue", "1 KB against queue.Queue"),
        (r"take ([\d.]+) of the time of ddtrace's native", "time, 1 KB  "),
        (r"native sender and ([\d.]+) of its CPU", "CPU, 1 KB  "),
    ],
)
def test_a_ratio_of_the_readme_is_that_of_the_benchmark(said: str, row: str) -> None:
    (given,) = re.findall(said, TEXT)
    lines = (ROOT / "docs" / "benchmark.txt").read_text().splitlines()
    (line,) = [line for line in lines if line.strip().startswith(row)]
    assert given == line.split()[-4], f"README.md: write what docs/benchmark.txt has: {line}"


def test_the_other_figures_of_the_readme_are_on_the_pages_that_it_names() -> None:
    soak = (ROOT / "docs" / "soak.rst").read_text()
    said = r"with (\d+) faults of the intake and (\d+) forks, all of ([\d,]+) payloads"
    (figures,) = re.findall(said, TEXT)
    assert [n for n in figures if not re.search(rf"     - {n}\b", soak)] == []
    recipe = (ROOT / "docs" / "recipes" / "ddtrace.rst").read_text()
    rows = re.findall(r"\| `([\w. -]+)` \| (\d+ and \d+) \| (\d+ and \d+) \|", README)
    assert len(rows) == 2
    for row in rows:
        assert "\n     - ".join([f"``{row[0]}``", *row[1:]]) in recipe


def test_links_of_the_readme_work_on_a_package_index() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert len(targets) > 5
    assert [one for one in targets if not one.startswith("https://")] == []
