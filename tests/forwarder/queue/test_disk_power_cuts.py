"""A power cut at any call to the disk; more of them in tests/soak/queue_power_cuts.py."""

from __future__ import annotations

import importlib.util
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from power_cuts import Call, Disk

SCRIPT = Path(__file__).parents[2] / "soak" / "queue_power_cuts.py"


def soak() -> Any:
    spec = importlib.util.spec_from_file_location("queue_power_cuts", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_what_was_confirmed_is_there_after_a_power_cut(tmp_path):
    result = soak().try_cuts(tmp_path, requests=40, cuts=6, seed=random.randrange(1 << 30))
    assert result["cuts"] == 18
    assert result["confirmed"] == 40
    assert result["lost"] == 0, result


def after(*calls: Call, share: float, folder: Path) -> dict[str, bytes]:
    disk = Disk()
    for call in calls:
        disk.do(call)
    disk.cut(folder, random.Random(0), share)
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WRITTEN = (Call("create", 0, "/d/f", b""), Call("write", 0, "/d/f", b"abc"))
SYNCED = (Call("begin-sync", 0, "/d/f", b""), Call("sync", 0, "/d/f", b""))
NAMED = (Call("sync", 0, "/d", b""),)


def test_the_model_forgets_what_is_not_synced(tmp_path):
    assert after(*WRITTEN, share=0.0, folder=tmp_path / "1") == {}
    assert after(*WRITTEN, *SYNCED, share=0.0, folder=tmp_path / "2") == {}
    assert after(*WRITTEN, *NAMED, share=0.0, folder=tmp_path / "3") == {"f": b""}
    assert after(*WRITTEN, *SYNCED, *NAMED, share=0.0, folder=tmp_path / "4") == {"f": b"abc"}
    assert after(*WRITTEN, share=1.0, folder=tmp_path / "5") == {"f": b"abc"}
    unlinked = (*WRITTEN, *SYNCED, *NAMED, Call("unlink", 0, "/d/f", b""))
    assert after(*unlinked, share=0.0, folder=tmp_path / "6") == {"f": b"abc"}
    assert after(*unlinked, *NAMED, share=0.0, folder=tmp_path / "7") == {}
