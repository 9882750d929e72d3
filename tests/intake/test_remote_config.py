from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from livedebug_sender.intake.remote_config import ProbeFile, answer_for, probes_in
from livedebug_sender.intake.server import Intake

PROBE = {"id": "a/b c", "version": 1, "type": "LOG_PROBE", "where": {"typeName": "m"}}


def decoded(answer: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The signed part, and the files by their path."""
    signed = json.loads(base64.b64decode(answer["targets"]))["signed"]
    files = {one["path"]: base64.b64decode(one["raw"]) for one in answer["target_files"]}
    return signed, files


def test_each_probe_is_a_target_with_its_hash_and_length() -> None:
    answer = answer_for([PROBE], 3, ["LIVE_DEBUGGING"])
    signed, files = decoded(answer)
    ((path, content),) = files.items()
    assert path == "datadog/2/LIVE_DEBUGGING/logProbe_a%2Fb%20c/config"
    assert answer["client_configs"] == [path]
    assert json.loads(content) == PROBE
    target = signed["targets"][path]
    assert target["hashes"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (target["length"], target["custom"]) == (len(content), {"v": 3})
    assert signed["version"] == 3


def test_only_products_that_were_asked_for_are_in_the_answer() -> None:
    assert answer_for([PROBE], 1, ["APM_SAMPLING"])["client_configs"] == []
    (path,) = answer_for([PROBE], 1, ["LIVE_DEBUGGING_SYMBOL_DB"])["client_configs"]
    assert path == "datadog/2/LIVE_DEBUGGING_SYMBOL_DB/symDb/config"


def test_a_file_that_changes_is_read_again_and_one_that_breaks_is_not(tmp_path: Path) -> None:
    path = tmp_path / "probes.json"
    path.write_text(json.dumps([PROBE]))
    probes = ProbeFile(path)
    assert probes.names == ["a/b c"]
    path.write_text(json.dumps([PROBE, {**PROBE, "id": "second"}]))
    signed, files = decoded(probes.answer(["LIVE_DEBUGGING"]))
    assert (len(files), signed["version"]) == (2, 2)
    path.write_text("[")
    assert len(probes.answer(["LIVE_DEBUGGING"])["client_configs"]) == 2
    assert "not JSON" in probes.problem
    path.write_text("[]")
    assert probes.answer(["LIVE_DEBUGGING"])["client_configs"] == []
    assert probes.problem == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{}", "expected an array"),
        (b"[1]", "probe 0 has no 'id'"),
        (b'[{"id": 1}]', "probe 0 has no 'id'"),
        (b'[{"id": "a", "type": "X"}]', "expected LOG_PROBE"),
        (json.dumps([PROBE, PROBE]).encode(), "two probes have the id"),
    ],
)
def test_what_is_no_file_of_probes_is_refused_with_words(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        probes_in(content)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"/no/such\.json: No such file"):
        Intake(probes="/no/such.json")


def test_a_tracer_that_polls_is_given_the_probes(tmp_path: Path) -> None:
    path = tmp_path / "probes.json"
    path.write_text(json.dumps([PROBE]))
    with Intake(probes=path) as intake:
        url = f"{intake.url}/v0.7/config"
        asked = {"client": {"products": ["LIVE_DEBUGGING"]}}
        assert len(requests.post(url, json=asked, timeout=10).json()["client_configs"]) == 1
        for odd in ({}, [], {"client": 1}, {"client": {"products": 1}}):
            assert requests.post(url, json=odd, timeout=10).json() == {}
