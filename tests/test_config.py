from __future__ import annotations

from typing import Any

import pytest
from sample_data import KEY

from livedebug_sender import (
    ConfigError,
    Endpoint,
    Sender,
    SenderConfig,
    Track,
    agent_info_supports_debugger_v2_endpoint,
    track_of_payload,
)


def config(key: str | None = None) -> SenderConfig:
    made = SenderConfig()
    made.set_endpoint(Endpoint("http://h", key))
    return made


def urls(made: SenderConfig, track: str) -> list[str]:
    return [endpoint.url for endpoint in made.endpoints_for(track)]


def test_endpoints_come_with_paths_derived_and_the_primary_first() -> None:
    made = config()
    made.set_symdb_endpoint(Endpoint("http://s"))
    made.add_additional_debugger_endpoint(Endpoint("https://a", KEY))
    made.add_additional_symdb_endpoint(Endpoint("http://b"))
    assert urls(made, "logs") == ["http://h/debugger/v2/input", "https://a/api/v2/debugger"]
    assert urls(made, "diagnostics")[0] == "http://h/debugger/v1/diagnostics"
    assert urls(made, "symdb") == ["http://s/symdb/v1/input", "http://b/symdb/v1/input"]


def test_without_a_primary_a_track_has_no_endpoint() -> None:
    made = config()
    made.add_additional_symdb_endpoint(Endpoint("http://b"))
    assert made.endpoints_for(Track.SYMDB) == ()


def test_a_downgrade_moves_snapshots_and_logs_and_can_be_undone() -> None:
    made = config()
    made.add_additional_debugger_endpoint(Endpoint("http://a"))
    assert made.downgrade_to_diagnostics_endpoint() is True
    assert made.downgrade_to_diagnostics_endpoint() is False
    for track in ("snapshots", "logs"):
        assert urls(made, track) == [
            "http://h/debugger/v1/diagnostics",
            "http://a/debugger/v2/input",
        ]
    made.reset_endpoints()
    assert urls(made, "logs")[0] == "http://h/debugger/v2/input"


def test_the_intake_can_not_be_downgraded() -> None:
    made = config(KEY)
    assert made.downgrade_to_diagnostics_endpoint() is False
    assert urls(made, "logs") == ["http://h/api/v2/debugger"]
    assert SenderConfig().downgrade_to_diagnostics_endpoint() is False


@pytest.mark.parametrize("endpoint", [None, "http://h", 3])
def test_an_endpoint_is_an_endpoint(endpoint: Any) -> None:
    made = SenderConfig()
    for method in ("set_endpoint", "set_symdb_endpoint", "add_additional_debugger_endpoint",
                   "add_additional_symdb_endpoint"):  # fmt: skip
        with pytest.raises(ConfigError, match="expected: an Endpoint"):
            getattr(made, method)(endpoint)


@pytest.mark.parametrize("value", [0, -1, 1.5, "3s", "", None, True])
@pytest.mark.parametrize(
    "name",
    [
        "max_queue_items",
        "max_queue_bytes",
        "max_payload_bytes",
        "max_batch_items",
        "max_batch_bytes",
    ],
)
def test_a_bound_is_a_positive_whole_number(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Sender(config(), **{name: value})


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "3MiB", None, True])
@pytest.mark.parametrize("name", ["linger", "retry_for", "shutdown_timeout", "recheck_after"])
def test_a_time_is_a_finite_number_of_seconds(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Sender(config(), **{name: value})


def test_bounds_and_times_may_have_units() -> None:
    with Sender(
        config(),
        max_queue_bytes="2KiB",
        max_payload_bytes="1.5kB",
        max_batch_bytes="1KiB",
        linger="20ms",
        retry_for="5m",
        shutdown_timeout="3s",
        recheck_after="1h",
    ) as sender:
        assert sender.enqueue("logs", b"[" + b"1" * 1498 + b"]")
        assert not sender.enqueue("logs", b"[" + b"1" * 1499 + b"]")
        assert sender.flush("0ms") is False
        assert sender.close("0s") is False


@pytest.mark.parametrize("name", ["on_drop", "session_factory", "around_request"])
def test_a_callback_can_be_called(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Sender(config(), **{name: "print"})


def test_a_sender_wants_a_config() -> None:
    with pytest.raises(ConfigError, match="SenderConfig"):
        Sender("http://h")  # type: ignore[arg-type]


def test_a_config_tells_where_payloads_go_and_why() -> None:
    assert config().describe() == "payloads go to the agent http://h (set by the program)"
    made = SenderConfig.from_env({"DD_API_KEY": KEY})
    made.add_additional_debugger_endpoint(Endpoint("https://user.defined/path?query=1", KEY))
    assert made.describe() == (
        "payloads go to the intake https://debugger-intake.datadoghq.com (agentless) "
        "(chosen by DD_API_KEY); copies go to the intake https://user.defined (agentless)"
    )
    made = SenderConfig.from_env({"DD_AGENT_HOST": "a"})
    made.set_symdb_endpoint(Endpoint("unix:///run/apm.socket"))
    assert made.describe() == (
        "payloads go to the agent http://a:8126, symdb to the agent unix:///run/apm.socket "
        "(chosen by DD_AGENT_HOST)"
    )
    made = SenderConfig()
    assert made.describe() == "payloads go nowhere: no endpoint is set"
    made.set_symdb_endpoint(Endpoint("file:///tmp/x", KEY))
    assert KEY not in made.describe()


def test_no_repr_shows_a_key() -> None:
    made = config(KEY)
    assert KEY not in repr(made) + repr(Sender(made))


def test_the_tracks_of_the_sample_payloads(samples: dict[str, list[Any]]) -> None:
    for track, payloads in samples.items():
        assert {track_of_payload(payload) for payload in payloads} == {Track(track)}


@pytest.mark.parametrize("payload", [{}, {"debugger": None}, {"debugger": {"snapshot": None}}, []])
def test_what_is_no_snapshot_is_diagnostics(payload: Any) -> None:
    assert track_of_payload(payload) is Track.DIAGNOSTICS


@pytest.mark.parametrize(
    ("info", "supports"),
    [
        ({"endpoints": ["/v0.4/traces", "/debugger/v2/input"]}, True),
        ({"endpoints": ["v0.4/traces", "debugger/v2/input"]}, True),
        ({"endpoints": ["/debugger/v1/input"]}, False),
        ({"endpoints": [["debugger/v2/input"], {}, None, "debugger/v2/input/more"]}, False),
        ({"endpoints": "/debugger/v2/input"}, False),
        ({"endpoints": None}, False),
        ({}, False),
        (None, False),
    ],
)
def test_an_agents_info_tells_whether_it_has_v2(info: Any, supports: bool) -> None:
    assert agent_info_supports_debugger_v2_endpoint(info) is supports
