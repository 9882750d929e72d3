"""What the docs say of the forwarder, held against it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from livedebug_sender.forwarder.options import OPTIONS
from livedebug_sender.forwarder.routes import ROUTES

DOCS = Path(__file__).parents[2] / "docs"


def test_every_option_and_route_is_in_the_docs():
    text = (DOCS / "forwarder.rst").read_text()
    for option in OPTIONS:
        assert f"``{option.name}``" in text, option.name
    for path, route in ROUTES.items():
        assert f"``{path}``" in text
        assert f"``{route.variable}``" in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path):
    unit = (DOCS / "livedebug-forwarder.service").read_text()
    # There has to be an executable at that path.
    command = "/opt/livedebug-sender/bin/livedebug-sender"
    assert command in unit
    (tmp_path / "livedebug-forwarder.service").write_text(unit.replace(command, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "livedebug-forwarder.service")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
