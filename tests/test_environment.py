from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sample_data import KEY
from servers import RecordingServer, socket_file

from livedebug_sender import ConfigError, Endpoint, Sender, SenderConfig, environment

SECOND = "f" * 32


def primary(environ: dict[str, str], **options: Any) -> str:
    return SenderConfig.from_env(environ, **options).endpoints_for("logs")[0].url


@pytest.fixture(autouse=True)
def _no_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "AGENT_SOCKET", str(tmp_path / "apm.socket"))


V2 = "/debugger/v2/input"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, f"http://localhost:8126{V2}"),
        ({"DD_API_KEY": KEY}, "https://debugger-intake.datadoghq.com/api/v2/debugger"),
        ({"DD_API_KEY": f"{KEY}\n", "DD_SITE": " datadoghq.eu "},
         "https://debugger-intake.datadoghq.eu/api/v2/debugger"),
        ({"DD_TRACE_AGENT_URL": "http://a:1\n"}, f"http://a:1{V2}"),
        ({"DD_TRACE_AGENT_URL": "http://a:1", "DD_AGENT_HOST": "b"}, f"http://a:1{V2}"),
        ({"DD_AGENT_HOST": "b"}, f"http://b:8126{V2}"),
        ({"DD_AGENT_HOST": "b", "DD_TRACE_AGENT_PORT": "9"}, f"http://b:9{V2}"),
        ({"DD_TRACE_AGENT_PORT": "9"}, f"http://localhost:9{V2}"),
        ({"DD_AGENT_HOST": "::1"}, f"http://[::1]:8126{V2}"),
        ({"DD_AGENT_HOST": "", "DD_TRACE_AGENT_URL": " "}, f"http://localhost:8126{V2}"),
        ({"DD_SITE": "datadoghq.eu"}, f"http://localhost:8126{V2}"),
    ],
)  # fmt: skip
def test_the_environment_chooses_the_endpoint(environ: dict[str, str], url: str) -> None:
    assert primary(environ) == url


NAMED = [
    {"DD_TRACE_AGENT_URL": "http://a:1"},
    {"DD_AGENT_HOST": "a", "DD_TRACE_AGENT_PORT": "1"},
    {"DD_TRACE_AGENT_PORT": "1"},
]


@pytest.mark.parametrize("named", NAMED)
def test_an_agent_that_is_named_is_preferred_to_an_api_key(named: dict[str, str]) -> None:
    config = SenderConfig.from_env({"DD_API_KEY": KEY, **named})
    (endpoint,) = config.endpoints_for("snapshots")
    assert (endpoint.api_key, endpoint.url.endswith(":1/debugger/v2/input")) == (None, True)
    assert config.decided_by == next(iter(named))


@pytest.mark.parametrize("named", [{}, *NAMED])
@pytest.mark.parametrize("value", ["true", "True", "1", " TRUE\n"])
def test_the_switch_for_agentless_is_preferred_to_an_agent(
    named: dict[str, str], value: str
) -> None:
    environ = {"DD_API_KEY": KEY, "DD_AGENTLESS_ENABLED": value, **named}
    config = SenderConfig.from_env(environ)
    assert config.endpoints_for("logs")[0].agentless
    assert config.decided_by == "DD_AGENTLESS_ENABLED"
    assert not SenderConfig.from_env(environ, agentless=False).endpoints_for("logs")[0].agentless


@pytest.mark.parametrize("value", ["false", "False", "0"])
def test_the_switch_turned_off_means_an_agent_though_there_is_a_key(value: str) -> None:
    config = SenderConfig.from_env({"DD_API_KEY": KEY, "DD_AGENTLESS_ENABLED": value})
    assert config.endpoints_for("logs")[0].url == f"http://localhost:8126{V2}"
    assert config.decided_by == "DD_AGENTLESS_ENABLED"


def test_an_empty_switch_decides_nothing() -> None:
    config = SenderConfig.from_env({"DD_API_KEY": KEY, "DD_AGENTLESS_ENABLED": " "})
    assert config.decided_by == "DD_API_KEY"


def test_what_decided_is_kept_until_another_endpoint_is_set() -> None:
    assert SenderConfig.from_env({}, agentless=False).decided_by == "the argument agentless"
    config = SenderConfig.from_env({})
    assert config.decided_by == "the default"
    config.set_endpoint(Endpoint("http://h"))
    assert config.decided_by is None


def test_without_an_argument_the_environment_of_the_process_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DD_TRACE_AGENT_URL", "http://from.the.process:1")
    monkeypatch.setenv("DD_ENV", "prod")
    monkeypatch.delenv("DD_AGENTLESS_ENABLED", raising=False)
    assert SenderConfig.from_env().decided_by == "DD_TRACE_AGENT_URL"
    assert "env:prod" in environment.tags_from_env()


def test_the_agents_socket_is_used_if_it_is_there(
    monkeypatch: pytest.MonkeyPatch, short_dir: str
) -> None:
    path = socket_file(short_dir)
    monkeypatch.setattr(environment, "AGENT_SOCKET", path)
    with RecordingServer(unix=path):
        assert primary({}).startswith("unix://")
        assert primary({"DD_AGENT_HOST": "b"}) == f"http://b:8126{V2}"


def test_an_argument_overrides_the_choice() -> None:
    assert primary({"DD_API_KEY": KEY}, agentless=False) == f"http://localhost:8126{V2}"
    assert "debugger-intake" in primary({"DD_API_KEY": KEY}, agentless=True)
    with pytest.raises(ConfigError, match="DD_API_KEY"):
        primary({}, agentless=True)


def test_all_tracks_share_the_endpoint() -> None:
    config = SenderConfig.from_env({"DD_API_KEY": KEY})
    for track in ("diagnostics", "snapshots", "logs", "symdb"):
        assert config.endpoints_for(track)[0].api_key == KEY


def test_additional_endpoints_are_read_as_the_agent_does() -> None:
    config = SenderConfig.from_env({
        "DD_APM_DEBUGGER_ADDITIONAL_ENDPOINTS": json.dumps({"https://a": [KEY, f"{SECOND}\n"]}),
        "DD_APM_DEBUGGER_DIAGNOSTICS_ADDITIONAL_ENDPOINTS":
            json.dumps({"https://a/api/v2/debugger": [KEY], "https://b": [KEY], "https://c": []}),
        "DD_APM_SYMDB_ADDITIONAL_ENDPOINTS": json.dumps({"https://s": [SECOND]}),
    })  # fmt: skip
    logs = [(e.url, e.api_key) for e in config.endpoints_for("logs")[1:]]
    assert logs == [
        ("https://a/api/v2/debugger", KEY),
        ("https://a/api/v2/debugger", SECOND),
        ("https://b/api/v2/debugger", KEY),
    ]
    symdb = config.endpoints_for("symdb")[1:]
    assert [(e.url, e.api_key) for e in symdb] == [("https://s/api/v2/debugger", SECOND)]


ADDITIONAL = "DD_APM_SYMDB_ADDITIONAL_ENDPOINTS"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"DD_AGENTLESS_ENABLED": "true"}, "DD_AGENTLESS_ENABLED is true.* DD_API_KEY is not set"),
        ({"DD_AGENTLESS_ENABLED": "true", "DD_API_KEY": ""}, "DD_API_KEY"),
        ({"DD_AGENTLESS_ENABLED": "perhaps"}, "DD_AGENTLESS_ENABLED"),
        ({"DD_API_KEY": ""}, "DD_API_KEY is empty; .* unset it"),
        ({"DD_API_KEY": " \n"}, "DD_API_KEY"),
        ({"DD_API_KEY": "secret with spaces"}, "DD_API_KEY"),
        ({"DD_API_KEY": "secret\tü"}, "DD_API_KEY"),
        ({"DD_API_KEY": KEY, "DD_SITE": "evil.com/@x"}, "DD_SITE"),
        ({"DD_API_KEY": KEY, "DD_SITE": ""}, "DD_SITE"),
        ({"DD_TRACE_AGENT_URL": "ftp://x"}, "DD_TRACE_AGENT_URL"),
        ({"DD_TRACE_AGENT_URL": "http://me:secret@x"}, "DD_TRACE_AGENT_URL"),
        ({"DD_TRACE_AGENT_PORT": "http"}, "DD_TRACE_AGENT_PORT"),
        ({"DD_TRACE_AGENT_PORT": "0"}, "DD_TRACE_AGENT_PORT"),
        ({"DD_TRACE_AGENT_PORT": "65536"}, "DD_TRACE_AGENT_PORT"),
        ({"DD_AGENT_HOST": "a/b"}, "DD_AGENT_HOST"),
        ({"DD_AGENT_HOST": "a b"}, "DD_AGENT_HOST"),
        ({ADDITIONAL: "{secret"}, ADDITIONAL),
        ({ADDITIONAL: '["secret"]'}, ADDITIONAL),
        ({ADDITIONAL: '{"https://a": "secret"}'}, ADDITIONAL),
        ({ADDITIONAL: '{"https://a": ["secret", 3]}'}, ADDITIONAL),
        ({ADDITIONAL: '{"a": ["secret"]}'}, ADDITIONAL),
        ({ADDITIONAL: '{"https://a": ["secret key"]}'}, ADDITIONAL),
        ({ADDITIONAL: "[" * 100_000}, ADDITIONAL),
    ],
)
def test_a_broken_value_is_named_and_no_secret_shown(environ: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        SenderConfig.from_env(environ)
    assert "secret" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "tags"),
    [
        ({}, ""),
        ({"DD_ENV": "prod\n", "DD_VERSION": " 1.2 "}, "env:prod,version:1.2"),
        ({"DD_TAGS": "a:1,b:2"}, "a:1,b:2"),
        ({"DD_TAGS": " a:1  b:2, c:3 "}, "a:1,b:2,c:3"),
        ({"DD_ENV": "prod", "DD_TAGS": "env:dev,version:9,a:1"}, "env:prod,version:9,a:1"),
    ],
)
def test_tags_come_from_the_environment(environ: dict[str, str], tags: str) -> None:
    assert environment.tags_from_env(environ) == tags


def test_a_sender_from_the_environment_sends_there_with_its_tags() -> None:
    with (
        RecordingServer() as agent,
        Sender.from_env({"DD_TRACE_AGENT_URL": agent.url, "DD_ENV": "prod"}, linger=0.01) as sender,
    ):
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert agent.posts[0].query == "ddtags=env%3Aprod"
