"""Requests for a durable queue are answered by the thread that stores them."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running_forwarder import ROUTES, Running, on_disk, running, statuses
from servers import RecordingServer
from waiting import until

from livedebug_sender.forwarder import Forwarder, Settings, store_and_forward
from livedebug_sender.forwarder.queue import put_timeouts
from livedebug_sender.forwarder.queue.disk.disk_queue import DiskQueue
from livedebug_sender.forwarder.queue.disk.segment import Segment
from livedebug_sender.forwarder.queue.request_queue import PutCallback, QueueOptions, RequestQueue

NOWHERE = "http://127.0.0.1:9"


class SlowDisk:
    """Commits wait while it is held."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._works = threading.Event()
        self.free()
        append = Segment.append

        def slow(segment: Segment, *arguments: Any) -> None:
            self._works.wait(20)
            append(segment, *arguments)

        monkeypatch.setattr(Segment, "append", slow)

    def hold(self) -> None:
        self._works.clear()

    def free(self) -> None:
        self._works.set()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk(monkeypatch)
    yield disk
    disk.free()


@pytest.fixture
def intake() -> Iterator[RecordingServer]:
    with RecordingServer() as intake:
        yield intake


@pytest.fixture
def forwarder(disk: SlowDisk, intake: RecordingServer, tmp_path: Path) -> Iterator[Running]:
    """On the slow disk, with its queue open: else the first request opens it, through WSGI."""
    with open_on_disk(intake.url, tmp_path) as forwarder:
        yield forwarder


@contextmanager
def open_on_disk(intake: str, folder: Path, **options: Any) -> Iterator[Running]:
    with on_disk(intake, folder, **options) as forwarder:
        forwarder.app.start()
        yield forwarder


def post(body: bytes = b"[]", *headers: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    path = ROUTES[2].encode()
    lines = [b"POST %s %s" % (path, version), b"Host: x", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, *headers, b"", body])


def serving_threads() -> int:
    return sum(thread.name == "forwarder" for thread in threading.enumerate())


def test_requests_that_wait_for_the_disk_need_no_further_thread(forwarder, disk, intake):
    disk.hold()
    with ThreadPoolExecutor(20) as clients:
        answers = [clients.submit(forwarder.post, ROUTES[2]) for _ in range(20)]
        assert until(lambda: forwarder.in_flight == 20)
        assert serving_threads() <= 2
        assert not any(answer.done() for answer in answers)
        disk.free()
        assert [answer.result().status for answer in answers] == [202] * 20
    intake.wait_for(20)
    assert forwarder.in_flight == 0


def test_threads_that_pages_needed_end_when_there_are_only_requests_again(forwarder):
    gate = threading.Event()
    publish = forwarder.app.publish
    forwarder.app.publish = lambda: (gate.wait(20), publish())
    with ThreadPoolExecutor(4) as clients:
        pages = [clients.submit(forwarder.get, "/metrics") for _ in range(4)]
        assert until(lambda: serving_threads() == 5)
        gate.set()
        assert [page.result().status for page in pages] == [200] * 4
    connection = http.client.HTTPConnection(forwarder.host, forwarder.port, timeout=20)

    def one_is_left() -> bool:
        for _ in range(20):
            connection.request("POST", ROUTES[2], b"[]")
            assert connection.getresponse().read()
        return serving_threads() == 1

    assert until(one_is_left, 30)
    connection.close()


def test_pipelined_requests_are_answered_in_their_order(forwarder, intake):
    requests = [
        post(b"[1]"),
        post(b"[2]"),
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        post(b"[3]"),
        b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n",
        post(b"[4]", b"Connection: close"),
    ]
    received = forwarder.raw(b"".join(requests), end=False)
    assert statuses(received) == [202, 202, 404, 202, 200, 202]
    assert {one.body for one in intake.wait_for(4)} == {b"[1]", b"[2]", b"[3]", b"[4]"}


@pytest.mark.parametrize(
    "last", [post(version=b"HTTP/1.0"), post(b"[]", b"Connection: close")], ids=["1.0", "close"]
)
def test_a_connection_that_is_not_to_be_kept_ends_after_the_answer(forwarder, last):
    received = forwarder.raw(last, end=False)
    assert b" 202 Accepted\r\n" in received
    assert received.endswith(b"\r\n\r\n{}\n")
    assert until(lambda: forwarder.closed_connections == 1)


def test_an_answer_sent_later_has_the_headers_and_the_body_of_the_wsgi_answer(forwarder, tmp_path):
    later = forwarder.post(ROUTES[2])
    called: list[Any] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": ROUTES[2],
        "CONTENT_LENGTH": "0",
        "REMOTE_ADDR": "127.0.0.1",
    }
    body = b"".join(forwarder.app(environ, lambda *answer: called.append(answer)))
    (status, headers) = called[0]
    assert (later.status, later.body) == (int(status[:3]), body)
    expected = {name.lower(): value for name, value in headers}
    assert {name: later.headers[name] for name in expected} == expected
    assert set(later.headers) - set(expected) == {"date"}


def test_a_client_that_left_before_its_answer_leaves_nothing_behind(forwarder, disk, intake):
    disk.hold()
    with forwarder.connect() as sock:
        sock.sendall(post(b"[1]"))
        assert until(lambda: forwarder.in_flight == 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
    disk.free()
    assert until(lambda: forwarder.closed_connections == 1)
    assert forwarder.in_flight == 0
    assert intake.wait_for(1)[0].body == b"[1]"
    assert forwarder.post(ROUTES[2]).status == 202


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(put_timeouts, "PUT_MARGIN", 0.0)
    monkeypatch.setattr(put_timeouts, "CHECK_EVERY", 0.01)
    options: Callable[[Settings], QueueOptions] = store_and_forward.queue_options
    monkeypatch.setattr(
        store_and_forward, "queue_options", lambda given: replace(options(given), put_timeout=0.1)
    )


@pytest.mark.usefixtures("impatient")
def test_a_disk_that_hangs_is_a_503_in_time_and_the_late_answer_none(forwarder, disk, intake):
    disk.hold()
    connection = http.client.HTTPConnection(forwarder.host, forwarder.port, timeout=20)
    connection.request("POST", ROUTES[2], b"[1]")
    response = connection.getresponse()
    assert response.status == 503
    assert response.getheader("Retry-After") == "5"
    assert response.read() == b'{"error": "the queue did not answer in time; try again later"}\n'
    assert forwarder.in_flight == 0
    disk.free()
    # It may be delivered nevertheless; the next answer is the next request's.
    assert intake.wait_for(1)[0].body == b"[1]"
    connection.request("GET", "/info")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.usefixtures("impatient")
def test_slow_clients_are_cut_while_the_disk_hangs(disk, intake, tmp_path):
    with open_on_disk(intake.url, tmp_path, receive_timeout=0.2) as forwarder:
        disk.hold()
        assert forwarder.post(ROUTES[2]).status == 503
        with forwarder.connect() as sock:
            sock.sendall(b"POST / HT")
            assert sock.recv(1) == b""
        disk.free()


def test_what_is_refused_gets_its_status_and_is_counted(intake, tmp_path):
    options = {"queue_bytes": 1_000_000, "max_body_bytes": 300_000}
    with open_on_disk(NOWHERE, tmp_path, **options) as forwarder:
        body = b"x" * 200_000
        answers = [forwarder.post(ROUTES[2], body) for _ in range(6)]
        assert {answer.status for answer in answers} == {202, 429}
        full = next(answer for answer in answers if answer.status == 429)
        assert full.headers["retry-after"] == "5"
        assert full.json == {"error": "the queue is full; try again later"}
        assert forwarder.post(ROUTES[2], b"x" * 300_001).status == 413
        assert forwarder.ask("PUT", ROUTES[2], b"[]").status == 405
        page = forwarder.get("/metrics").body.decode()
        for status in (202, 429):
            label = f'{{by="forwarder",route="{ROUTES[2]}",status="{status}"}}'
            assert f"livedebug_forwarder_requests_total{label}" in page
        assert forwarder.in_flight == 0


def test_too_many_at_once_are_a_503_and_the_pages_are_still_served(disk, intake, tmp_path):
    with open_on_disk(intake.url, tmp_path, max_at_once=2) as forwarder:
        disk.hold()
        with ThreadPoolExecutor(2) as clients:
            waiting = [clients.submit(forwarder.post, ROUTES[2]) for _ in range(2)]
            assert until(lambda: forwarder.in_flight == 2)
            refused = forwarder.post(ROUTES[2])
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert forwarder.get("/info").status == 200
            disk.free()
            assert [one.result().status for one in waiting] == [202, 202]


def test_a_failure_of_ours_is_a_500_and_gives_its_place_back(forwarder, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    with monkeypatch.context() as patched:
        patched.setattr(store_and_forward, "StoredRequest", broken)
        answer = forwarder.post(ROUTES[2])
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert forwarder.in_flight == 0
    assert forwarder.post(ROUTES[2]).status == 202


def test_what_waits_for_the_disk_at_the_end_is_answered(disk, intake, tmp_path):
    with open_on_disk(intake.url, tmp_path) as forwarder, ThreadPoolExecutor(3) as clients:
        disk.hold()
        waiting = [clients.submit(forwarder.post, ROUTES[2]) for _ in range(3)]
        assert until(lambda: forwarder.in_flight == 3)
        threading.Timer(0.1, disk.free).start()
        forwarder.stop()
        assert [one.result().status for one in waiting] == [202] * 3
        assert forwarder.delivered is True


def test_what_the_disk_does_not_confirm_before_the_end_gets_a_503(
    disk, intake, tmp_path, monkeypatch
):
    queues: list[RequestQueue] = []
    open_queue = store_and_forward.open_queue

    def opened(url: str, options: QueueOptions) -> RequestQueue:
        queues.append(open_queue(url, options))
        return queues[0]

    monkeypatch.setattr(store_and_forward, "open_queue", opened)
    with (
        open_on_disk(intake.url, tmp_path, grace=0.5) as forwarder,
        ThreadPoolExecutor(3) as clients,
    ):
        disk.hold()
        waiting = [clients.submit(forwarder.post, ROUTES[2]) for _ in range(3)]
        assert until(lambda: forwarder.in_flight == 3)
        forwarder.stop()
        answers = [one.result() for one in waiting]
        assert [(one.status, one.headers["retry-after"]) for one in answers] == [(503, "5")] * 3
        assert answers[0].json == {"error": "shutting down; try again later"}
        assert forwarder.closed_connections == 3
    disk.free()
    assert queues[0].close(20) == 0  # now its files are closed, too


def test_requests_for_a_queue_in_memory_are_answered_through_wsgi(intake):
    with running(intake.url, mode="store-and-forward") as forwarder:
        forwarder.app.start()
        assert not Forwarder.answer_later(
            forwarder.app, {"REQUEST_METHOD": "POST", "PATH_INFO": ROUTES[2]}, print
        )
        assert forwarder.post(ROUTES[2]).status == 202


class StuckLog(logging.Handler):
    """A log whose reader does not read on."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck = threading.Event()
        self.go_on = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.stuck.set()
        self.go_on.wait(20)


def test_a_log_that_hangs_holds_up_no_request(intake, tmp_path):
    log, logger = StuckLog(), logging.getLogger("livedebug_sender")
    options = {"queue_bytes": 1_000_000, "max_body_bytes": 300_000}
    with open_on_disk(NOWHERE, tmp_path, **options) as forwarder:
        logger.addHandler(log)
        try:
            answers = [forwarder.post(ROUTES[2], b"x" * 200_000).status for _ in range(6)]
            assert 429 in answers
            assert log.stuck.wait(20)
            assert forwarder.post(ROUTES[2], b"[]").status in (202, 429)
            assert forwarder.get("/info").status == 200
        finally:
            log.go_on.set()
            logger.removeHandler(log)


def test_a_put_that_fails_after_its_answer_is_no_second_answer(forwarder, monkeypatch):
    def told_and_failed(queue: DiskQueue, request: object, callback: PutCallback) -> None:
        callback(None)
        raise RuntimeError("secret")

    with monkeypatch.context() as patched:
        patched.setattr(DiskQueue, "put_async", told_and_failed)
        requests = [post(), b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
        received = forwarder.raw(b"".join(requests), end=False)
    assert statuses(received) == [202, 200]
