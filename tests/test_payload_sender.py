"""Several payloads in one request, with the outcome: `PayloadSender`."""

from __future__ import annotations

from typing import Any

import pytest
from servers import RecordingServer

from livedebug_sender import (
    ConfigError,
    Endpoint,
    InvalidPayload,
    PayloadRejected,
    PayloadSender,
    SenderConfig,
    SenderError,
    Track,
)

KEY = "0123456789abcdef0123456789abcdef"
DEBUGGER_TRACKS = [track for track in Track if track is not Track.SYMDB]


def config_for(url: str, *additional: str, key: str | None = None) -> SenderConfig:
    config = SenderConfig()
    config.set_endpoint(Endpoint(url, key))
    config.set_symdb_endpoint(Endpoint(url, key))
    for other in additional:
        config.add_additional_debugger_endpoint(Endpoint(other, KEY))
        config.add_additional_symdb_endpoint(Endpoint(other, KEY))
    return config


@pytest.mark.parametrize("track", DEBUGGER_TRACKS, ids=str)
def test_a_payload_sender_makes_one_request_of_all_its_payloads(track: Track) -> None:
    with RecordingServer() as server:
        sender = PayloadSender(Endpoint(f"{server.url}/any?path"), track, "a:b")
        sender.append(b'{"a":1}')
        sender.append('[{"b":2},{"c":3}]')
        sender.append(b"[]")
        sender.append({"d": 4})
        assert sender.finish() == 4
    (arrived,) = server.requests
    assert arrived.elements == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]
    assert arrived.query == "ddtags=a%3Ab"


def test_a_payload_sender_takes_an_endpoint_with_the_path_derived() -> None:
    with RecordingServer() as server:
        config = config_for(server.url, key=KEY)
        for track in DEBUGGER_TRACKS:
            sender = PayloadSender(config.endpoints_for(track)[0], track)
            sender.append(b"[1]")
            assert sender.finish() == 1
    assert {request.path for request in server.requests} == {"/api/v2/debugger"}


def test_a_payload_sender_leaves_a_downgraded_endpoint_as_it_is() -> None:
    with RecordingServer() as server:
        config = config_for(server.url)
        config.downgrade_to_diagnostics_endpoint()
        sender = PayloadSender(config.endpoints_for(Track.LOGS)[0], Track.LOGS)
        sender.append(b"[1]")
        sender.finish()
    (arrived,) = server.requests
    assert arrived.path == "/debugger/v1/diagnostics"
    assert arrived.headers["content-type"] == "application/json"


def test_a_payload_sender_without_payloads_sends_nothing() -> None:
    with RecordingServer() as server:
        assert PayloadSender(Endpoint(server.url), "logs").finish() == 0
    assert server.requests == []


def test_a_payload_sender_raises_what_the_one_attempt_came_to() -> None:
    with RecordingServer(413) as server:
        sender = PayloadSender(Endpoint(server.url), "logs")
        sender.append(b"[1]")
        with pytest.raises(PayloadRejected) as caught:
            sender.finish()
    assert (caught.value.status, caught.value.kind) == (413, "debugger")
    assert len(server.requests) == 1


def test_a_payload_that_is_refused_leaves_the_others_in_place() -> None:
    with RecordingServer() as server:
        sender = PayloadSender(Endpoint(server.url), "logs")
        sender.append(b"[1]")
        with pytest.raises(InvalidPayload):
            sender.append(b"nothing")
        assert sender.finish() == 1
    assert server.elements() == [1]


def test_a_payload_sender_is_used_once() -> None:
    sender = PayloadSender(Endpoint("http://localhost"), "logs")
    sender.finish()
    with pytest.raises(SenderError, match="append"):
        sender.append(b"[1]")
    with pytest.raises(SenderError, match="finish"):
        sender.finish()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((Endpoint("http://localhost"), "symdb"), "send_symdb"),
        ((Endpoint("http://localhost"), "traces"), "traces"),
        (("http://localhost", "logs"), "Endpoint"),
        ((Endpoint("http://localhost"), "logs", "a\nb"), "control characters"),
    ],
)
def test_a_payload_sender_says_early_what_is_invalid(arguments: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        PayloadSender(*arguments)
