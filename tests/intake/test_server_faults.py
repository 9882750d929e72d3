"""Injected faults, as a client of the intake sees them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from raw_client import raw_exchange

from livedebug_sender import Sender
from livedebug_sender.intake.server import Intake


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as started:
        yield started


def test_told_to_fail_it_fails_and_a_sender_gets_through_all_the_same(
    intake: Intake, make_sender: Callable[..., Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livedebug_sender.delivery.backoff.FIRST", 0.01)
    intake.inject("503 twice, then good")
    sender = make_sender(intake.url)
    sender.enqueue("logs", [{"n": 1}])
    assert intake.wait_for(1) == [{"n": 1}]
    assert sender.flush(15.0)
    assert [request.status for request in intake.requests] == [503, 503, 202]
    assert intake.payloads() == [{"n": 1}]


def test_a_sender_goes_around_an_agent_without_v2(
    intake: Intake, make_sender: Callable[..., Sender]
) -> None:
    intake.inject("no v2")
    sender = make_sender(intake.url)
    sender.enqueue("logs", {"debugger": {"snapshot": {}}, "message": "m"})
    assert sender.flush(15.0)
    paths = [(request.path, request.status) for request in intake.requests]
    assert paths == [("/debugger/v2/input", 404), ("/debugger/v1/diagnostics", 202)]
    assert len(intake.payloads("logs")) == 1


HEAD = b"POST /debugger/v2/input HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
REQUEST = HEAD + b"Content-Length: 2\r\n\r\n[]"


def test_an_early_answer_comes_before_the_body_and_ends_the_connection(intake: Intake) -> None:
    intake.inject("early 413")
    # Of a megabyte that is announced, only its first bytes are ever sent.
    with socket.create_connection(("127.0.0.1", intake.port), timeout=10) as connection:
        connection.sendall(
            HEAD.replace(b"close", b"keep-alive") + b"Content-Length: 1000000\r\n\r\n["
        )
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in received.lower()
    assert (intake.requests[0].status, intake.requests[0].size) == (413, 0)


def test_an_early_answer_arrives_even_if_the_client_sends_all_of_a_large_body(
    intake: Intake,
) -> None:
    intake.inject("early 413")
    answer = requests.post(f"{intake.url}/symdb/v1/input", data=b"x" * 8_000_000, timeout=10)
    assert answer.status_code == 413


def test_a_dripping_answer_comes_byte_by_byte(intake: Intake) -> None:
    intake.inject("drip 1ms")
    with socket.create_connection(("127.0.0.1", intake.port), timeout=10) as connection:
        connection.sendall(REQUEST)
        reads = []
        while data := connection.recv(65536):
            reads.append(data)
    assert b"".join(reads).startswith(b"HTTP/1.1 202 ")
    assert len(reads) > 20


def test_a_connection_is_reset_or_closed_without_an_answer(intake: Intake) -> None:
    intake.inject("reset once, then close once")
    with pytest.raises(ConnectionResetError):
        raw_exchange(intake, REQUEST)
    assert raw_exchange(intake, REQUEST) == b""
    assert raw_exchange(intake, REQUEST).startswith(b"HTTP/1.1 202 ")
    assert [request.status for request in intake.requests] == [0, 0, 202]
    assert "injected fault: reset" in intake.requests[0].problem


def test_a_stalled_request_gets_no_answer_until_the_client_gives_up(intake: Intake) -> None:
    intake.inject("stall")
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{intake.url}/debugger/v2/input", json=[], timeout=0.2)
    assert intake.requests[0].status == 0


def test_retry_after_is_in_the_answer(intake: Intake) -> None:
    intake.inject("429 retry-after 2s")
    answer = requests.post(f"{intake.url}/debugger/v2/input", json=[], timeout=10)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")


def test_faults_are_for_the_intakes_routes_only(intake: Intake) -> None:
    intake.inject("503")
    assert requests.get(f"{intake.url}/info", timeout=10).ok
    assert requests.post(f"{intake.url}/v0.4/traces", data=b"x", timeout=10).ok
    assert requests.get(intake.url, timeout=10).ok


def test_a_delay_delays(intake: Intake) -> None:
    intake.inject("late 300ms")
    started = time.monotonic()
    requests.post(f"{intake.url}/debugger/v2/input", json=[], timeout=10)
    assert time.monotonic() - started >= 0.3
