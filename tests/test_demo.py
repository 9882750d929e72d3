from __future__ import annotations

import json

import pytest
from servers import RecordingServer, free_port

from livedebug_sender import demo


def test_on_loopback_every_sample_arrives_at_both_intakes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):  # the demo sets them
        monkeypatch.setenv(name, "127.0.0.1")
    assert demo.main([]) == 0
    out = capsys.readouterr().out
    for track in ("diagnostics", "snapshots", "logs", "symdb"):
        assert f"primary     {track}" in out
        assert f"additional  {track}" in out
    assert "Everything was delivered." in out
    assert "--agent" in out


def test_an_agent_gets_the_samples_at_its_own_paths(capsys: pytest.CaptureFixture[str]) -> None:
    with RecordingServer() as agent:
        assert demo.main(["--agent", agent.url]) == 0
    assert {request.path for request in agent.posts} == {
        "/debugger/v1/diagnostics",
        "/debugger/v2/input",
        "/symdb/v1/input",
    }
    assert all("dd-api-key" not in request.headers for request in agent.posts)
    assert "an agent" in capsys.readouterr().out


def test_what_does_not_arrive_makes_the_demo_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0.2)
    assert demo.main(["--agent", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "NOT everything was delivered." in capsys.readouterr().out


def test_a_site_takes_its_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_API_KEY", " a-key\n")
    endpoint = demo.real_endpoint(None, "datadoghq.eu")
    assert endpoint is not None
    assert endpoint.url == "https://debugger-intake.datadoghq.eu"
    assert endpoint.api_key == "a-key"


@pytest.mark.parametrize("arguments", [["--site", "datadoghq.com"], ["--agent", "no url"]])
def test_an_invalid_command_ends_with_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DD_API_KEY", raising=False)
    with pytest.raises(SystemExit) as ended:
        demo.main(arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_result_as_json_has_the_accounts_and_what_arrived(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    assert demo.main(["--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["delivered"], told["stats"]["enqueued"], told["stats"]["dropped"]) == (
        True,
        41,
        {},
    )
    assert sum(row["payloads"] for row in told["arrived"]) == 82
