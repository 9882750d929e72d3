"""The lines that ``livedebug-sender intake`` prints."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from running_cli import start

from livedebug_sender.cli.intake import arrival_line
from livedebug_sender.intake.server import Intake


def line_for(*payloads: object, faults: str = "", tags: str = "") -> str:
    """The line of a request with these payloads."""
    with Intake(faults=faults) as intake:
        url = f"{intake.url}/debugger/v2/input?ddtags={tags}"
        with suppress(requests.ConnectionError):
            requests.post(url, data=json.dumps(payloads), timeout=10)
        return arrival_line(intake.requests[0])


def log(service: str, probe: str) -> dict[str, object]:
    return {"service": service, "debugger": {"snapshot": {"probe": {"id": probe}}}}


def test_a_line_says_when_what_from_where_and_how_large() -> None:
    line = line_for(log("shop", "b"), log("shop", "a"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  202  2 logs  shop  a, b  \d+ bytes", line)


def test_a_line_says_what_was_refused_and_why() -> None:
    assert "  503  1 logs" in line_for(log("s", "p"), faults="503")
    assert "injected fault" in line_for(log("s", "p"), faults="503")
    assert "  none  1 logs" in line_for(log("s", "p"), faults="close")


def test_a_line_stays_short_and_can_be_written_to_any_terminal() -> None:
    line = line_for(*[log("\ud800", f"p{n}") for n in range(9)])
    assert "p0, p1, p2, and 6 more" in line
    line.encode("utf-8")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_line_is_printed_for_each_arrival_unless_it_is_to_be_quiet(
    quiet: bool, tmp_path: Path
) -> None:
    probes = tmp_path / "probes.json"
    probes.write_text("[]")
    options = ["-q"] if quiet else []
    with start("intake", "--port", "0", "--probes", str(probes), *options) as process:
        assert process.stdout is not None
        url = re.findall(r"http://[\d.:]+", process.stdout.readline())[0]
        requests.post(f"{url}/debugger/v2/input", json=[log("shop", "p")], timeout=10)
        if not quiet:
            while "1 log" not in process.stdout.readline():
                pass
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert "1 log" not in out
