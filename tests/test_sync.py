"""One attempt, on the calling thread: what is sent, what is raised, and in which order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from servers import RawServer, RecordingServer, Reply, free_port

from livedebug_sender import (
    ConfigError,
    DeliveryError,
    Endpoint,
    InvalidPayload,
    PayloadRejected,
    SenderConfig,
    Track,
    send,
    send_symdb,
    sync,
)

KEY = "0123456789abcdef0123456789abcdef"
DEBUGGER_TRACKS = [track for track in Track if track is not Track.SYMDB]
BODY = bytes(range(256))
CONTENT_TYPE = 'multipart/form-data; boundary="=="'


def config_for(url: str, *additional: str, key: str | None = None) -> SenderConfig:
    config = SenderConfig()
    config.set_endpoint(Endpoint(url, key))
    config.set_symdb_endpoint(Endpoint(url, key))
    for other in additional:
        config.add_additional_debugger_endpoint(Endpoint(other, KEY))
        config.add_additional_symdb_endpoint(Endpoint(other, KEY))
    return config


# -- send and send_symdb -----------------------------------------------------------


@pytest.mark.parametrize("payload", [b'{"a":1}', '[{"a":1}]', {"a": 1}, [{"a": 1}]], ids=repr)
def test_a_payload_in_any_form_arrives_as_an_array(payload: Any) -> None:
    with RecordingServer() as server:
        send(payload, config_for(server.url), "logs", "a:b c")
    (arrived,) = server.requests
    assert (arrived.path, arrived.query) == ("/debugger/v2/input", "ddtags=a%3Ab%20c")
    assert arrived.body == b'[{"a":1}]'


@pytest.mark.parametrize("track", DEBUGGER_TRACKS, ids=str)
def test_each_debugger_track_is_taken_by_its_name_too(track: Track) -> None:
    with RecordingServer() as server:
        send(b"[1]", config_for(server.url, key=KEY), track)
        send(b"[1]", config_for(server.url, key=KEY), track.value)
    first, second = server.requests
    assert first.path == second.path == "/api/v2/debugger"
    assert first.body == second.body
    assert first.headers["dd-api-key"] == KEY


def test_a_symdb_body_arrives_byte_for_byte_with_its_tags_in_a_header() -> None:
    with RecordingServer() as server:
        send_symdb(BODY, CONTENT_TYPE, config_for(server.url), "a:b&c")
    (arrived,) = server.requests
    assert (arrived.path, arrived.query) == ("/symdb/v1/input", "")
    assert arrived.body == BODY
    assert arrived.headers["content-type"] == CONTENT_TYPE
    assert arrived.headers["x-datadog-additional-tags"] == "a:b&c"


def test_a_downgraded_config_sends_snapshots_to_the_diagnostics_route() -> None:
    with RecordingServer() as server:
        config = config_for(server.url)
        config.downgrade_to_diagnostics_endpoint()
        send(b"[1]", config, Track.SNAPSHOTS)
    (arrived,) = server.requests
    assert arrived.path == "/debugger/v1/diagnostics"
    assert arrived.headers["content-type"] == "application/json"


def test_a_file_endpoint_records_the_path_of_the_track(tmp_path: Path) -> None:
    config = config_for(f"file://{tmp_path}/out")
    send(b"[1]", config, Track.LOGS)
    send_symdb(b"body", CONTENT_TYPE, config)
    lines = (tmp_path / "out").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == [
        "/debugger/v2/input",
        "/symdb/v1/input",
    ]


@pytest.mark.parametrize("status", [302, 400, 403, 404, 503])
def test_an_answer_that_is_no_success_is_raised_after_one_attempt(status: int) -> None:
    with RecordingServer(Reply(status, body="nein, weil ü".encode())) as server:
        with pytest.raises(PayloadRejected) as caught:
            send(b"[1]", config_for(server.url), Track.LOGS)
        error = caught.value
        assert (error.status, error.body, error.kind) == (status, "nein, weil ü", "debugger")
        with pytest.raises(PayloadRejected) as caught:
            send_symdb(b"body", CONTENT_TYPE, config_for(server.url))
        assert (caught.value.status, caught.value.kind) == (status, "symdb")
    assert len(server.requests) == 2


def test_no_answer_is_a_delivery_error_without_the_key() -> None:
    config = config_for(f"http://127.0.0.1:{free_port()}", key=KEY)
    with pytest.raises(DeliveryError) as caught:
        send(b"[1]", config, Track.LOGS)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda config: send(b"", config, "logs"),
        lambda config: send("nothing", config, "logs"),
        lambda config: send(object(), config, "logs"),
        lambda config: send_symdb("text", CONTENT_TYPE, config),
        lambda config: send_symdb(b"", CONTENT_TYPE, config),
        lambda config: send_symdb(b"body", "", config),
        lambda config: send_symdb(b"body", "a\r\nb: c", config),
    ],
)
def test_what_is_not_a_json_object_or_array_is_refused_before_a_request(call: Any) -> None:
    with RecordingServer() as server, pytest.raises(InvalidPayload):
        call(config_for(server.url))
    assert server.requests == []


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: send(b"[1]", SenderConfig(), "logs"), "endpoint"),
        (lambda: send_symdb(b"body", CONTENT_TYPE, SenderConfig()), "endpoint"),
        (lambda: send(b"[1]", "http://localhost", "logs"), "SenderConfig"),  # type: ignore[arg-type]
        (lambda: send(b"[1]", config_for("http://localhost"), "symdb"), "send_symdb"),
        (lambda: send(b"[1]", config_for("http://localhost"), "traces"), "traces"),
        (lambda: send(b"[1]", config_for("http://localhost"), None), "None"),  # type: ignore[arg-type]
        (
            lambda: send(b"[1]", config_for("http://localhost"), "logs", "a\r\nb"),
            "control characters",
        ),
    ],
)
def test_what_is_invalid_is_a_config_error_that_names_it(call: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()


def test_tags_beyond_the_limit_are_cut_and_that_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "tags_cut_logged", False)
    tags = ",".join(["a:b"] * 1001)  # 4,003 characters
    with RecordingServer() as server:
        config = config_for(server.url)
        send(b"[1]", config, Track.LOGS, tags)
        send_symdb(b"body", CONTENT_TYPE, config, tags)
    assert server.requests[1].headers["x-datadog-additional-tags"] == tags[:-4]
    assert server.requests[0].query.count("a%3Ab") == 1000
    assert caplog.messages == ["4003 characters of tags cut to 3999"]


# -- Additional endpoints ----------------------------------------------------------


def test_additional_endpoints_get_the_same_request_after_the_primary() -> None:
    order: list[str] = []

    def answering(name: str) -> Any:
        def answer(_: Any) -> int:
            order.append(name)
            return 202

        return answer

    with (
        RecordingServer(answering("primary")) as primary,
        RecordingServer(answering("additional")) as one,
        RecordingServer(answering("additional")) as two,
    ):
        send(b"[1]", config_for(primary.url, one.url, two.url), Track.DIAGNOSTICS, "a:b")
        send_symdb(BODY, CONTENT_TYPE, config_for(primary.url, one.url, two.url), "a:b")
    assert order == ["primary", "additional", "additional"] * 2
    for server in (one, two):
        debugger, symdb = server.requests
        assert (debugger.path, debugger.query) == ("/api/v2/debugger", "ddtags=a%3Ab")
        assert debugger.body == primary.requests[0].body
        assert debugger.headers["dd-api-key"] == KEY
        assert symdb.body == BODY
    assert "dd-api-key" not in primary.requests[0].headers


def test_additional_endpoints_are_tried_at_the_same_time() -> None:
    both_there = threading.Barrier(2, timeout=2)

    def answer(_: Any) -> int:
        both_there.wait()
        return 202

    with (
        RecordingServer() as primary,
        RecordingServer(answer) as one,
        RecordingServer(answer) as two,
    ):
        send(b"[1]", config_for(primary.url, one.url, two.url), Track.LOGS)
    assert not both_there.broken


def test_what_becomes_of_additional_copies_is_not_heard() -> None:
    with RecordingServer() as primary, RecordingServer(500) as refusing:
        nobody = f"http://127.0.0.1:{free_port()}"
        send(b"[1]", config_for(primary.url, nobody, refusing.url), Track.LOGS)
    assert len(primary.requests) == len(refusing.requests) == 1


@pytest.mark.parametrize("primary_answers", [True, False])
def test_additional_endpoints_get_their_copy_though_the_primary_fails(
    primary_answers: bool,
) -> None:
    with RecordingServer(400) as primary, RecordingServer() as additional:
        url = primary.url if primary_answers else f"http://127.0.0.1:{free_port()}"
        with pytest.raises(PayloadRejected if primary_answers else DeliveryError):
            send(b"[1]", config_for(url, additional.url), Track.LOGS)
    assert len(additional.requests) == 1


@pytest.mark.parametrize("threads", [0, 1])
def test_where_threads_run_out_each_additional_endpoint_gets_one_copy(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    left = [None] * threads

    def start_if_any_is_left(thread: threading.Thread) -> None:
        if thread.name.startswith("livedebug"):
            if not left:
                raise RuntimeError("can't start new thread")
            left.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_any_is_left)
    with RecordingServer() as primary, RecordingServer() as one, RecordingServer() as two:
        send(b"[1]", config_for(primary.url, one.url, two.url), Track.LOGS)
    assert [len(server.requests) for server in (primary, one, two)] == [1, 1, 1]


def test_at_interpreter_exit_all_endpoints_still_get_it() -> None:
    program = (
        "import atexit, sys\n"
        "from livedebug_sender import Endpoint, SenderConfig, send\n"
        "config = SenderConfig()\n"
        "config.set_endpoint(Endpoint(sys.argv[1]))\n"
        "config.add_additional_debugger_endpoint(Endpoint(sys.argv[2]))\n"
        "atexit.register(send, b'[1]', config, 'logs')\n"
    )
    with RecordingServer() as primary, RecordingServer() as additional:
        done = subprocess.run(
            [sys.executable, "-c", program, primary.url, additional.url],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(primary.requests) == len(additional.requests) == 1


# -- Connections -------------------------------------------------------------------


def test_calls_on_one_thread_share_a_connection_and_threads_do_not() -> None:
    with RecordingServer() as server:
        config = config_for(server.url)
        send(b"[1]", config, Track.LOGS)
        send_symdb(b"body", CONTENT_TYPE, config)
        other = threading.Thread(target=send, args=(b"[1]", config, Track.LOGS))
        other.start()
        other.join()
        send(b"[1]", config, Track.LOGS)
        first, second, of_other, third = (request.connection for request in server.requests)
    assert first == second == third
    assert of_other != first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_opens_a_connection_of_its_own() -> None:
    with RecordingServer() as server:
        config = config_for(server.url)
        send(b"[1]", config, Track.LOGS)
        child = os.fork()
        if child == 0:
            try:
                send(b"[2]", config, Track.LOGS)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        send(b"[3]", config, Track.LOGS)
        parent, of_child, parent_again = server.requests
    assert parent.connection == parent_again.connection
    assert of_child.connection != parent.connection


TOKEN = "a-test-token"


@pytest.mark.parametrize(
    "echo",
    ["DD-API-KEY: {key}", "{key}{key} {upper}", "{token} is no token", "x" * 4080 + "{key}"],
)
def test_a_rejection_does_not_carry_a_key_that_the_server_echoes(echo: str) -> None:
    body = echo.format(key=KEY, token=TOKEN, upper=KEY.upper()).encode()
    with RecordingServer(Reply(403, body=body)) as intake:
        config = SenderConfig()
        config.set_endpoint(Endpoint(intake.url, KEY, test_token=TOKEN))
        with pytest.raises(PayloadRejected) as caught:
            send(b"[1]", config, "logs")
    shown = f"{caught.value} {caught.value.body} {caught.value!r} {vars(caught.value)}".lower()
    # What tools show that report errors with the variables of the frames; ours, not this one's.
    raised = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown += str([frame.locals for frame in raised.stack if "tests" not in frame.filename]).lower()
    assert "***" in shown
    for secret in (KEY, TOKEN):
        for part in (secret[:6], secret[-6:]):
            assert part not in shown


def test_a_rejection_is_one_line_whatever_the_server_says() -> None:
    said = "\r\n2026-01-01 CRITICAL not ours\x1b[2J\x9b\u202e"
    refusal = Reply(400, body=said.encode())
    with RecordingServer(refusal) as server, pytest.raises(PayloadRejected) as caught:
        send(b"[1]", config_for(server.url), "logs")
    assert str(caught.value) == (
        "the debugger endpoint answered 400: "
        r"\r\n2026-01-01 CRITICAL not ours\x1b[2J\x9b\u202e"
    )
    assert caught.value.body == said


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_a_hosts_time_out_reaches_it_while_additional_endpoints_are_sent_to() -> None:
    def time_out(*_: object) -> None:
        raise RuntimeError("the host's time is over")

    def strike(connection: Any, over: threading.Event) -> None:
        os.kill(os.getpid(), signal.SIGALRM)
        over.wait(10)

    before = signal.signal(signal.SIGALRM, time_out)
    try:
        with (
            RecordingServer() as primary,
            RawServer(strike) as additional,
            pytest.raises(RuntimeError, match="the host's"),
        ):
            send(b"[1]", config_for(primary.url, additional.url), "logs")
    finally:
        signal.signal(signal.SIGALRM, before)
