from __future__ import annotations

from typing import Any

import pytest
from sample_data import KEY

from livedebug_sender import (
    ConfigError,
    Endpoint,
    Track,
    debugger_intake_endpoint,
    derive_endpoint_path,
)
from livedebug_sender.protocol.endpoint import socket_path

AGENT_PATHS = {
    "diagnostics": "/debugger/v1/diagnostics",
    "snapshots": "/debugger/v2/input",
    "logs": "/debugger/v2/input",
    "symdb": "/symdb/v1/input",
}


@pytest.mark.parametrize(("track", "path"), AGENT_PATHS.items())
def test_each_track_has_its_path_at_an_agent(track: str, path: str) -> None:
    for url in ("http://h:8126", "http://h:8126/any/path?query=1#x"):
        assert derive_endpoint_path(Endpoint(url), track).url == f"http://h:8126{path}"


@pytest.mark.parametrize("track", AGENT_PATHS)
def test_with_a_key_every_track_goes_to_the_intakes_one_path(track: str) -> None:
    derived = derive_endpoint_path(Endpoint("https://h/x?y", KEY, 1.5, "token"), track)
    assert derived == Endpoint("https://h/api/v2/debugger", KEY, 1.5, "token")


def test_a_unix_socket_takes_the_hosts_place_and_deriving_twice_changes_nothing() -> None:
    once = derive_endpoint_path(Endpoint("unix:///run/a b.sock".replace(" ", "_")), "logs")
    assert once.url == "unix://%2Frun%2Fa_b.sock/debugger/v2/input"
    assert derive_endpoint_path(once, "logs") == once
    assert socket_path(once) == socket_path(Endpoint("unix:///run/a_b.sock")) == "/run/a_b.sock"


def test_a_file_is_left_as_it_is() -> None:
    endpoint = Endpoint("file:///tmp/x.jsonl", KEY)
    assert derive_endpoint_path(endpoint, "logs") is endpoint


def test_the_intake_of_a_site() -> None:
    endpoint = debugger_intake_endpoint("datadoghq.eu", KEY, timeout=5)
    assert endpoint == Endpoint("https://debugger-intake.datadoghq.eu", KEY, 5)
    assert endpoint.agentless
    assert not Endpoint("http://h").agentless


@pytest.mark.parametrize(
    "site",
    ["evil.com/@x", "https://a.com", "a.com:443", "", " ", "a b", "a.com/", "a.com?x", "a..b",
     "-a.com", "ü.com", "a.com\n", "@a", "#", "a_b\r\n", None, 3, b"a.com", "a" * 300],
)  # fmt: skip
def test_a_site_is_a_plain_host_name(site: Any) -> None:
    with pytest.raises(ConfigError, match="site"):
        debugger_intake_endpoint(site, KEY)


@pytest.mark.parametrize(
    "key",
    ["", " ", f"{KEY}\n", f" {KEY}", "a b", "a\tb", "a\0b", "ü", "a\r\nX: y", 3, b"key", "\x7f"],
)
def test_a_key_that_can_not_be_one_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ConfigError, match="API key") as caught:
        Endpoint("https://h", key)
    with pytest.raises(ConfigError):
        debugger_intake_endpoint("datadoghq.com", key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "h", "//h", "ftp://h", "gopher://h", "http://", "http:///path", "http://:80", "https://?x",
     "http://h:port", "http://h:99999", "http://a b", "http://h/\r\nx", "http://h\x00", "unix://",
     "unix://relative", "file://", "file://host/path", "http://[::1", "javascript:alert(1)",
     None, 3, b"http://h", "http://h\\@evil"],
)  # fmt: skip
def test_a_url_needs_a_known_scheme_and_a_host(url: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected|white space"):
        Endpoint(url)


@pytest.mark.parametrize("url", ["http://me:hunter2@h", "https://hunter2@h/", "http://:hunter2@h"])
def test_user_info_is_refused_and_its_password_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="user info") as caught:
        Endpoint(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["HTTP://h", "http://[::1]:8126", "https://a-b.c/", "http://h:1/p"])
def test_ordinary_urls_are_taken(url: str) -> None:
    assert Endpoint(url).scheme in ("http", "https")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "3MB", None, True])
def test_a_timeout_is_a_positive_number(timeout: Any) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        Endpoint("http://h", timeout=timeout)


def test_a_timeout_may_have_a_unit_and_is_kept_in_seconds() -> None:
    assert Endpoint("http://h", timeout="200ms").timeout == 0.2
    assert Endpoint("http://h", None, "5m") == Endpoint("http://h", timeout=300)
    assert debugger_intake_endpoint("datadoghq.eu", KEY, timeout="1.5s").timeout == 1.5


@pytest.mark.parametrize("token", ["", "a\nb", "ü"])
def test_a_test_token_can_be_a_header(token: str) -> None:
    with pytest.raises(ConfigError, match="test token"):
        Endpoint("http://h", test_token=token)


def test_neither_key_nor_token_is_in_the_repr() -> None:
    shown = repr(Endpoint("https://h", KEY, test_token="token-1"))
    assert KEY not in shown
    assert "token-1" not in shown


def test_a_config_error_is_a_value_error() -> None:
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize(
    ("track", "shown"),
    [("spans", "'spans'"), ("LOGS", "'LOGS'"), (7, "a int"), (None, "a NoneType")],
)
def test_an_unknown_track_is_refused_with_those_that_there_are(track: str, shown: str) -> None:
    words = f"the track is {shown}; expected: one of diagnostics, snapshots, logs, symdb"
    for use in (lambda: derive_endpoint_path(Endpoint("http://h"), track), lambda: Track(track)):
        with pytest.raises(ConfigError, match=words):
            use()
