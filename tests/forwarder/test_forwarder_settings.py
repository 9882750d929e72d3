"""The Agent's variables, and the forwarder's own."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys

import pytest
from running_forwarder import PREFIXES, ROUTES
from sample_data import KEY

import livedebug_sender.forwarder
from livedebug_sender import ConfigError, __version__
from livedebug_sender.forwarder import Forwarder, Settings

MINIMAL = {"DD_API_KEY": KEY}


def primaries(**variables: str) -> dict[str, str]:
    settings = Settings.from_env({**MINIMAL, **variables})
    return {path: endpoints[0].url for path, endpoints in settings.destinations.items()}


def test_a_key_alone_is_enough_and_leads_to_datadoghq_com():
    debugger = "https://debugger-intake.datadoghq.com/api/v2/debugger"
    assert primaries() == {
        "/debugger/v1/input": "https://http-intake.logs.datadoghq.com/api/v2/logs",
        "/debugger/v1/diagnostics": debugger,
        "/debugger/v2/input": debugger,
        "/symdb/v1/input": debugger,
    }


def test_the_site_is_in_every_url():
    assert all(
        ".logs.datadoghq.eu/" in u or "-intake.datadoghq.eu/" in u
        for u in primaries(DD_SITE="datadoghq.eu").values()
    )


def test_each_url_variable_is_the_whole_url_of_its_routes():
    urls = primaries(
        DD_APM_DEBUGGER_DD_URL="https://a/1?x",
        DD_APM_DEBUGGER_DIAGNOSTICS_DD_URL="http://b:81/2",
        DD_APM_SYMDB_DD_URL=" https://c\n",
    )
    assert list(urls.values()) == ["https://a/1?x", "http://b:81/2", "http://b:81/2", "https://c"]


def test_a_routes_own_key_comes_before_the_common_one():
    settings = Settings.from_env({**MINIMAL, "DD_APM_SYMDB_API_KEY": " own\n"})
    keys = [endpoints[0].api_key for endpoints in settings.destinations.values()]
    assert keys == [KEY, KEY, KEY, "own"]


def test_own_keys_for_all_routes_need_no_common_one():
    settings = Settings.from_env({f"{prefix}_API_KEY": "own" for prefix in PREFIXES})
    assert {endpoints[0].api_key for endpoints in settings.destinations.values()} == {"own"}


def test_additional_endpoints_get_a_copy_for_each_key():
    table = '{"https://a/x": ["k1", " k2 "], "https://b/y": ["k3"]}'
    settings = Settings.from_env({**MINIMAL, "DD_APM_SYMDB_ADDITIONAL_ENDPOINTS": table})
    additional = settings.destinations["/symdb/v1/input"][1:]
    assert [(one.url, one.api_key) for one in additional] == [
        ("https://a/x", "k1"),
        ("https://a/x", "k2"),
        ("https://b/y", "k3"),
    ]
    assert len(settings.destinations["/debugger/v2/input"]) == 1


def test_the_timeout_is_every_endpoints():
    table = '{"https://a/x": ["k"]}'
    variables = {**MINIMAL, **{f"{p}_ADDITIONAL_ENDPOINTS": table for p in PREFIXES}}
    settings = Settings.from_env({**variables, "LIVEDEBUG_FORWARDER_TIMEOUT": "2.5"})
    assert {e.timeout for es in settings.destinations.values() for e in es} == {2.5}


def test_host_and_env_are_the_first_tags():
    settings = Settings.from_env({**MINIMAL, "DD_HOSTNAME": "h", "DD_ENV": "prod"})
    assert settings.host_tags == f"host:h,default_env:prod,agent_version:{__version__}"
    assert ",default_env:none," in Settings.from_env(MINIMAL).host_tags


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("Prod", "prod"),
        ("a,b", "a_b"),
        ("1 staging__EU ", "staging_eu"),
        ("_x!!y//z.", "x_y//z."),
        (":a", ":a"),
        ("ÄÖ-ü9", "äö-ü9"),
        ("x" * 300, "x" * 200),
        ("a" + "!" * 300, "a"),
        ("ü" * 300, "ü" * 200),
        ("語" * 300, "語" * 134),
        ("!" * 398 + "abc", "ab"),
        ("a\udcffb", "a_b"),
        ("123", ""),
    ],
)
def test_the_environment_is_normalised_as_the_agent_does(given, tag):
    assert Settings.from_env({**MINIMAL, "DD_ENV": given}).default_env == tag


def test_sizes_and_times_have_units():
    variables = {"LIVEDEBUG_FORWARDER_QUEUE_BYTES": "1GiB", "LIVEDEBUG_FORWARDER_GRACE": "200ms"}
    settings = Settings.from_env({**MINIMAL, **variables}, max_body_bytes="64KiB")
    assert (settings.queue_bytes, settings.grace, settings.max_body_bytes) == (2**30, 0.2, 65536)


def test_there_is_a_worker_for_each_core_but_no_more_than_have_room_in_the_queue(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert Settings.from_env(MINIMAL).processes == 64
    stores = Settings.from_env(MINIMAL, mode="store-and-forward")
    assert 1 <= stores.processes < 64
    assert stores.of_worker().queue_bytes * stores.processes <= stores.queue_bytes
    assert Settings.from_env(MINIMAL, workers=3).processes == 3


def test_options_come_from_the_environment_and_what_is_given_wins():
    variables = {
        **MINIMAL,
        "LIVEDEBUG_FORWARDER_MODE": "store-and-forward",
        "LIVEDEBUG_FORWARDER_MAX_AT_ONCE": "7",
        "LIVEDEBUG_FORWARDER_GRACE": "1.5",
    }
    settings = Settings.from_env(variables, max_at_once=8)
    assert (settings.mode, settings.max_at_once, settings.grace) == ("store-and-forward", 8, 1.5)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DD_API_KEY": ""}, "^no API key for .* set DD_API_KEY"),
        ({"DD_API_KEY": "a b"}, "^DD_API_KEY: the API key has white space"),
        ({"DD_SITE": "evil.com/@x"}, "DD_SITE: the site is"),
        ({"DD_APM_SYMDB_DD_URL": "debugger-intake.datadoghq.eu"}, "DD_APM_SYMDB_DD_URL: the URL"),
        ({"DD_APM_SYMDB_DD_URL": "unix:///run/x"}, "DD_APM_SYMDB_DD_URL: .* is not an intake"),
        ({"DD_APM_SYMDB_DD_URL": "https://u:pw@x"}, "has user info"),
        ({"DD_APM_SYMDB_ADDITIONAL_ENDPOINTS": "{"}, "ADDITIONAL_ENDPOINTS is not JSON"),
        ({"DD_APM_SYMDB_ADDITIONAL_ENDPOINTS": '{"file:///x": ["k"]}'}, "is not an intake"),
        ({"DD_HOSTNAME": "a,b"}, "DD_HOSTNAME is 'a,b'"),
        ({"DD_HOSTNAME": "a\nb"}, "DD_HOSTNAME: tags"),
        ({"LIVEDEBUG_FORWARDER_MODE": "fast"}, "MODE is 'fast'; expected: pass-through or"),
        ({"LIVEDEBUG_FORWARDER_TIMEOUT": "soon"}, "TIMEOUT is 'soon'; expected: a time"),
        ({"LIVEDEBUG_FORWARDER_TIMEOUT": "0"}, "TIMEOUT is '0'; expected: a time of more"),
        ({"LIVEDEBUG_FORWARDER_TIMEOUT": "nan"}, "TIMEOUT is 'nan'; expected: a time"),
        ({"LIVEDEBUG_FORWARDER_MAX_AT_ONCE": "1.5"}, "MAX_AT_ONCE is '1.5'; expected: a whole"),
        ({"LIVEDEBUG_FORWARDER_QUEUE_BYTES": "64M"}, "QUEUE_BYTES is '64M'; expected: a size"),
        ({"LIVEDEBUG_FORWARDER_SWALLOW_OTHERS": "x"}, "OTHERS is 'x'; expected: true or false"),
        ({"LIVEDEBUG_FORWARDER_MAX_BODY_BYTES": "999999999"}, "more than max_at_once_bytes"),
        ({"LIVEDEBUG_FORWARDER_QUEUE": "disk"}, "the queue is 'disk'"),
        ({"LIVEDEBUG_FORWARDER_QUEUE": "kafka://h:x/t"}, "'h:x' is not host:port; expected: kafka"),
        ({"LIVEDEBUG_FORWARDER_QUEUE": "kafka://h:1/"}, "the topic is ''; expected: at most 200"),
        (
            {
                "LIVEDEBUG_FORWARDER_MODE": "store-and-forward",
                "LIVEDEBUG_FORWARDER_QUEUE_BYTES": "1000",
            },
            "a body of max_body_bytes .* would never fit",
        ),
    ],
)
def test_an_invalid_setting_is_refused_and_named(variables, words):
    with pytest.raises(ConfigError, match=re.compile(words, re.DOTALL)) as raised:
        Settings.from_env({**MINIMAL, **variables})
    assert KEY not in str(raised.value)


def test_no_key_is_in_any_repr():
    table = '{"https://a/x": ["secret-key"]}'
    settings = Settings.from_env({**MINIMAL, "DD_APM_SYMDB_ADDITIONAL_ENDPOINTS": table})
    shown = f"{settings!r} {Forwarder(settings)!r} {settings.destinations!r}"
    assert KEY not in shown
    assert "secret-key" not in shown


def test_app_is_made_of_the_environment_once_it_is_asked_for(monkeypatch):
    module = importlib.reload(livedebug_sender.forwarder)
    monkeypatch.delitem(vars(module), "app", raising=False)
    monkeypatch.delenv("DD_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="set DD_API_KEY"):
        module.app  # noqa: B018
    monkeypatch.setenv("DD_API_KEY", KEY)
    assert isinstance(module.app, module.Forwarder)
    assert module.app is module.app
    monkeypatch.delitem(vars(module), "app")
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        module.other  # noqa: B018


def test_importing_the_forwarder_needs_neither_waitress_nor_click():
    code = (
        "import sys; sys.modules['waitress'] = sys.modules['click'] = None\n"
        "import livedebug_sender.forwarder\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_there_is_a_route_for_each_of_the_agents():
    assert tuple(Settings.from_env(MINIMAL).destinations) == ROUTES
