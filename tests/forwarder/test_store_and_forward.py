"""202 at once; the rest is the queue's work."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import pytest
from queue_kinds import a_request
from running_forwarder import ROUTES, Running, environ, running
from sample_data import KEY
from servers import Arrived, RawServer, RecordingServer, free_port, hang
from waiting import until

from livedebug_sender.delivery import backoff
from livedebug_sender.forwarder import Forwarder, Settings, store_and_forward
from livedebug_sender.forwarder.queue.opening import open_queue
from livedebug_sender.forwarder.queue.request_queue import QueueUnavailable
from livedebug_sender.forwarder.replies import HTTPError

SMALL = {"max_body_bytes": 1000, "queue_bytes": 600_000, "connections": 1}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.02)  # seconds until the first probe, at most


def storing(intake: str, *additional: str, **options: Any) -> Any:
    return running(intake, *additional, mode="store-and-forward", **options)


def metric(forwarder: Running, name: str) -> float:
    for line in forwarder.get("/metrics").body.decode().splitlines():
        if line.startswith(f"livedebug_forwarder_{name} "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name}")


def test_a_queue_that_cannot_be_opened_is_tried_again_later_and_by_one_request(
    tmp_path, monkeypatch
):
    folder = tmp_path / "queue"
    folder.write_text("no folder")
    tried: list[str] = []
    all_asked = threading.Event()

    def open_slowly(url, options):
        tried.append(url)
        all_asked.wait(20)
        return open_queue(url, options)

    passed = [0.0]
    monkeypatch.setattr(store_and_forward, "open_queue", open_slowly)
    monkeypatch.setattr(store_and_forward, "monotonic", lambda: time.monotonic() + passed[0])
    with RecordingServer() as intake, running(intake.url, queue=f"disk:{folder}") as forwarder:
        answers: list[int] = []
        asking = [
            threading.Thread(target=lambda: answers.append(forwarder.post(ROUTES[2]).status))
            for _ in range(8)
        ]
        for thread in asking:
            thread.start()
        assert until(lambda: b"requests_in_hand 8.0\n" in forwarder.get("/metrics").body)
        all_asked.set()
        for thread in asking:
            thread.join(20)
        answered = forwarder.post(ROUTES[2])
        assert answers == [503] * 8
        assert (answered.status, answered.headers["retry-after"]) == (503, "5")
        assert len(tried) == 1
        health = forwarder.get("/health")
        assert (health.status, str(folder) in health.json["reason"]) == (503, True)
        folder.unlink()
        passed[0] = 5.0
        assert forwarder.post(ROUTES[2]).status == 202
        assert len(tried) == 2
        assert forwarder.get("/health").status == 200


@pytest.mark.parametrize("path", ROUTES)
def test_what_was_stored_arrives_as_in_pass_through(path):
    body = b"\x1f\x8b not JSON at all"
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=x"}
    with RecordingServer() as through, running(through.url) as forwarder:
        forwarder.post(f"{path}?ddtags=c:d", body, **headers, X_Datadog_Additional_Tags="a:b")
    with RecordingServer() as stored, storing(stored.url) as forwarder:
        answered = forwarder.post(
            f"{path}?ddtags=c:d", body, **headers, X_Datadog_Additional_Tags="a:b"
        )
        stored.wait_for(1)
    assert (answered.status, answered.json) == (202, {})
    (a,), (b,) = through.requests, stored.requests
    assert (a.method, a.path, a.query, a.body) == (b.method, b.path, b.query, b.body)
    own = ("dd-request-id", "host", "x-forwarded-host")
    assert {k: v for k, v in a.headers.items() if k not in own} == {
        k: v for k, v in b.headers.items() if k not in own
    }


def test_the_tracer_does_not_wait_for_the_intake():
    with RawServer(hang) as intake, storing(intake.url, timeout=30, grace=0.5) as forwarder:
        begun = time.monotonic()
        assert [forwarder.post(ROUTES[2]).status for _ in range(10)] == [202] * 10
        assert time.monotonic() - begun < 10
        assert metric(forwarder, "queued") == 10


def test_a_failed_request_is_tried_again_with_the_same_id():
    def answer(arrived: Arrived) -> int:
        return 503 if len(intake.requests) < 3 else 202

    with RecordingServer() as intake:
        intake.answer = answer
        with storing(intake.url) as forwarder:
            assert forwarder.post(ROUTES[0], b"[1]").status == 202
            requests = intake.wait_for(3)
    assert len({request.headers["dd-request-id"] for request in requests}) == 1
    assert {request.body for request in requests} == {b"[1]"}


@pytest.mark.waits
def test_a_date_to_come_back_at_is_relative_to_the_intakes_own_clock():
    ahead = time.time() + 3600
    date, then = formatdate(ahead, usegmt=True), formatdate(ahead + 1, usegmt=True)
    head = f"HTTP/1.1 503 Later\r\nDate: {date}\r\nRetry-After: {then}\r\n"

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())

    with RawServer(answer) as intake, storing(intake.url, grace=0.2) as forwarder:
        forwarder.post(ROUTES[2])
        assert until(lambda: intake.connections >= 2)


def test_an_intake_that_comes_up_later_gets_everything():
    port = free_port()
    with storing(f"http://127.0.0.1:{port}") as forwarder:
        for path in ROUTES:
            assert forwarder.post(path).status == 202
        with RecordingServer(port=port) as intake:
            assert len(intake.wait_for(4)) == 4
            forwarder.stop()
    assert forwarder.delivered is True


@pytest.mark.parametrize(
    "bounds", [{"queue_items": 4, "connections": 2}, {**SMALL}], ids=["items", "bytes"]
)
def test_a_full_queue_is_a_429_and_nothing_taken_is_lost(bounds):
    gate = threading.Event()

    def answer(arrived: Arrived) -> int:
        gate.wait(20)
        return 202

    with RecordingServer(answer) as intake, storing(intake.url, timeout=30, **bounds) as forwarder:
        body = b"x" * 1000
        answers = [forwarder.post(ROUTES[2], body)]
        while answers[-1].status == 202:
            assert len(answers) < 2000
            answers.append(forwarder.post(ROUTES[2], body))
        assert (answers[-1].status, answers[-1].headers["retry-after"]) == (429, "5")
        taken = len(answers) - 1
        assert taken >= 2
        # Snapshots may not crowd out probe statuses.
        if "queue_bytes" in bounds:
            assert forwarder.post(ROUTES[1], body).status == 202
            taken += 1
        gate.set()
        assert len(intake.wait_for(taken)) == taken
        until = time.monotonic() + 15
        while metric(forwarder, "queued"):  # the last answer is on its way
            assert time.monotonic() < until
        assert forwarder.post(ROUTES[2], body).status == 202
    assert len(intake.requests) == taken + 1


def test_the_log_tells_of_a_full_queue_once_and_only_if_a_tracer_was_refused(caplog):
    with RawServer(hang) as intake:
        bounds = {"queue_items": 8, "connections": 2, "timeout": 30, "grace": 0.2}
        with storing(intake.url, **bounds) as forwarder:
            answers = []
            while 429 not in answers:  # past the first of the queues that is full
                assert "full" not in caplog.text
                answers.append(forwarder.post(ROUTES[2]).status)
            assert until(lambda: "queue is full, tracers get a 429" in caplog.text)
            for _ in range(5):
                assert forwarder.post(ROUTES[2]).status == 429
            assert caplog.text.count("full") == 1
    assert "queue is full, tracers get a 429 (5 times in " in caplog.text


def test_several_requests_of_one_route_are_under_way_at_once():
    together = threading.Barrier(3)

    def answer(arrived: Arrived) -> int:
        together.wait(20)  # breaks, and answers nothing, unless three are here
        return 202

    with RecordingServer(answer) as intake, storing(intake.url, connections=3) as forwarder:
        for _ in range(3):
            forwarder.post(ROUTES[2])
        forwarder.stop()
    assert forwarder.delivered is True


def test_what_is_rejected_is_counted_and_not_tried_again():
    with RecordingServer(400) as intake, storing(intake.url) as forwarder:
        forwarder.post(ROUTES[2])
        until = time.monotonic() + 15
        while metric(forwarder, 'stored_total{result="rejected"}') < 1:
            assert time.monotonic() < until
        assert len(intake.requests) == 1


def test_additional_endpoints_get_their_copy_with_their_key():
    with RecordingServer() as intake, RecordingServer(500) as other:
        with storing(intake.url, other.url) as forwarder:
            forwarder.post(ROUTES[1], b"[1]")
            (copy,) = other.wait_for(1)
        (arrived,) = intake.requests
    assert (copy.headers["dd-api-key"], arrived.headers["dd-api-key"]) == ("key-of-0", KEY)
    assert (copy.path, copy.body) == ("/more", b"[1]")


def test_all_that_was_taken_is_delivered_on_stop():
    with RecordingServer() as intake, storing(intake.url) as forwarder:
        for n in range(200):
            assert forwarder.post(ROUTES[n % 4], b"[%d]" % n).status == 202
        forwarder.stop()
    assert forwarder.delivered is True
    assert sorted(arrived.body for arrived in intake.requests) == sorted(
        b"[%d]" % n for n in range(200)
    )


def test_stopping_takes_no_longer_than_its_grace_and_says_what_was_lost(caplog):
    with RawServer(hang) as intake, storing(intake.url, timeout=60, grace=1.0) as forwarder:
        forwarder.post(ROUTES[2])
        begun = time.monotonic()
        forwarder.stop()
        assert time.monotonic() - begun < 8
    assert forwarder.delivered is False
    assert "stored requests dropped (shutdown)" in caplog.text


def test_a_closed_one_refuses_with_503_and_says_when_to_come_back():
    with RecordingServer() as intake:
        app = Forwarder(Settings.from_env(environ(intake.url), mode="store-and-forward"))
        assert app.close(1.0)
        seen: list[tuple[str, str | None]] = []
        body = app(
            {"REQUEST_METHOD": "POST", "PATH_INFO": ROUTES[2], "QUERY_STRING": ""},
            lambda status, headers: seen.append(  # type: ignore[arg-type, return-value]
                (status, dict(headers).get("Retry-After"))
            ),
        )
        assert seen == [("503 Service Unavailable", "5")]
        assert b"shutting down" in b"".join(body)


def test_a_close_does_not_wait_for_a_queue_that_is_being_opened_and_that_is_closed_again(
    monkeypatch,
):
    opening, go_on = threading.Event(), threading.Event()
    opened: list[Any] = []

    def open_slowly(*arguments: Any) -> Any:
        opening.set()
        go_on.wait(20)
        opened.append(open_queue(*arguments))
        return opened[0]

    def start() -> None:
        with suppress(HTTPError):  # it is closed
            app.start()

    monkeypatch.setattr(store_and_forward, "open_queue", open_slowly)
    app = Forwarder(Settings.from_env(environ("http://127.0.0.1:9"), mode="store-and-forward"))
    starter = threading.Thread(target=start)
    starter.start()
    assert opening.wait(20)
    assert app.close(10.0) is True
    assert not opened
    go_on.set()
    starter.join(20)
    with pytest.raises(QueueUnavailable):
        opened[0].put(a_request(route=ROUTES[0]))


def test_tags_are_those_of_each_request():
    with RecordingServer() as intake, storing(intake.url) as forwarder:
        for n in range(3):
            forwarder.post(f"{ROUTES[2]}?ddtags=n:{n}")
        requests = intake.wait_for(3)
    tags = sorted(parse_qs(request.query)["ddtags"][0].rpartition(",")[2] for request in requests)
    assert tags == ["n:0", "n:1", "n:2"]
