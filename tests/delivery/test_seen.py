"""What the log tells of a sender, without anybody asking it: with real servers, and none."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sample_data import KEY
from servers import Arrived, RawServer, RecordingServer, Reply, free_port, hang
from waiting import until

from livedebug_sender import Endpoint, Sender, SenderConfig
from livedebug_sender.runtime import log_reporter
from livedebug_sender.runtime.log_limiter import logger

pytestmark = pytest.mark.waits

Make = Callable[..., Sender]
#: Seconds within which trouble is told of; the machine may be a busy one.
SOON = 5.0


class Lines(logging.Handler):
    """Each line, and the thread that wrote it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def texts(self, level: int) -> list[str]:
        return [r.getMessage() for r in list(self.records) if r.levelno == level]

    def told(self, level: int, *parts: str) -> Callable[[], bool]:
        return lambda: any(all(p in text for p in parts) for text in self.texts(level))


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter sleeps of the thread that writes, where another test shows that `SOON` is met."""
    monkeypatch.setattr(log_reporter, "GATHER", 0.1)
    monkeypatch.setattr(log_reporter, "SLOW_AFTER", 0.5)


def test_where_payloads_go_and_why_is_told_once_and_never_a_key(lines: Lines) -> None:
    with RecordingServer() as agent:
        environ = {"DD_TRACE_AGENT_URL": agent.url, "DD_API_KEY": KEY}
        with Sender.from_env(environ, linger=0) as sender:
            for track in ("logs", "snapshots", "diagnostics", "logs"):
                sender.enqueue(track, b"{}")
                assert sender.flush(10)
    assert lines.texts(logging.INFO) == [
        f"payloads go to the agent {agent.url} (chosen by DD_TRACE_AGENT_URL)"
    ]
    config = SenderConfig()
    config.set_endpoint(Endpoint("file:///dev/null", KEY))
    with Sender(config, linger=0) as sender:
        sender.enqueue("logs", b"{}")
        sender.flush(10)
    assert KEY not in str(lines.texts(logging.INFO))


def test_an_agent_that_is_down_is_told_of_soon_though_nobody_asks(
    make_sender: Make, lines: Lines
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    sender = make_sender(url, max_queue_items=10)
    for _ in range(100):
        sender.enqueue("logs", b"{}")
    assert until(lines.told(logging.WARNING, url[7:], "no answer", "connection refused"), SOON)
    assert until(lines.told(logging.WARNING, "payloads dropped (logs, queue_full)"), SOON)
    assert len(lines.texts(logging.WARNING)) == 2


def test_an_agent_that_hangs_is_told_of_while_the_request_lasts(
    make_sender: Make, lines: Lines
) -> None:
    release = threading.Event()

    def answer_late(_: object) -> int:
        release.wait(60)
        return 202

    with RecordingServer(answer_late) as agent:
        sender = make_sender(agent.url, timeout=60)
        sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.WARNING, "has given no answer"), 2 * SOON)
        release.set()
        assert sender.flush(10)
        assert until(lines.told(logging.INFO, "answers again", "0 requests failed"), SOON)
    with RawServer(hang) as agent:
        sender = make_sender(agent.url, timeout=60, max_queue_items=10)
        sender.enqueue("logs", b"{}")
        began = time.monotonic()
        assert until(lines.told(logging.WARNING, "has given no answer", "60 s"), 2 * SOON)
        assert time.monotonic() - began < 2 * SOON
        for _ in range(100):
            sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.WARNING, "queue_full"), SOON)
        sender.close(0)


@pytest.mark.usefixtures("_quick")
def test_an_agent_that_stops_reading_a_large_body_is_told_of_while_that_lasts(
    make_sender: Make, lines: Lines
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as agent:
        port = agent.getsockname()[1]
        sender = make_sender(f"http://127.0.0.1:{port}", timeout=3)  # for each MiB
        sender.enqueue("symdb", b"x" * 10_000_000, content_type="a/b")
        assert until(lines.told(logging.WARNING, "has given no answer"), 2 * SOON)
        assert not lines.told(logging.WARNING, "gives no answer")()
        sender.close(0)


@pytest.mark.usefixtures("_quick")
def test_drops_are_told_of_while_the_worker_waits_for_its_retry(
    make_sender: Make, lines: Lines
) -> None:
    with RecordingServer(Reply(429, {"Retry-After": "100"})) as agent:
        sender = make_sender(agent.url, max_queue_items=10)
        sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.WARNING, "answered 429"), SOON)
        for _ in range(100):
            sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.WARNING, "queue_full", "times)"), SOON)
        sender.close(0)


@pytest.mark.usefixtures("_quick")
def test_when_it_is_over_is_told_with_what_it_cost(make_sender: Make, lines: Lines) -> None:
    port = free_port()
    sender = make_sender(f"http://127.0.0.1:{port}", max_queue_items=10)
    taken = sum(sender.enqueue("logs", b"{}") for _ in range(100))
    assert until(lines.told(logging.WARNING, "no answer"), SOON)
    with RecordingServer(port=port):
        assert sender.flush(60)
        assert until(lines.told(logging.INFO, f"127.0.0.1:{port} answers again"), SOON)
    (over,) = (text for text in lines.texts(logging.INFO) if "answers again" in text)
    assert f"{100 - taken} payloads were dropped" in over


@pytest.mark.usefixtures("_quick")
def test_its_end_is_told_soon_though_counts_of_drops_are_kept_back(
    make_sender: Make, lines: Lines
) -> None:
    port = free_port()
    sender = make_sender(f"http://127.0.0.1:{port}", max_queue_items=10)
    for _ in range(2):
        for _ in range(100):
            sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.WARNING, "queue_full"), SOON)
    assert until(lines.told(logging.WARNING, "no answer"), SOON)
    with RecordingServer(port=port) as agent:
        assert until(lambda: bool(agent.requests), 60)
        assert until(lines.told(logging.INFO, "answers again"), SOON)


@pytest.mark.usefixtures("_quick")
def test_a_path_that_is_refused_is_told_of_and_the_end_of_that_too(
    make_sender: Make, lines: Lines
) -> None:
    knows_symbols = threading.Event()

    def answer(request: Arrived) -> int:
        return 202 if "symdb" not in request.path or knows_symbols.is_set() else 404

    with RecordingServer(answer) as agent:
        sender = make_sender(agent.url)
        host = agent.url[7:]
        for _ in range(3):  # the other tracks go on, and are no end of it
            sender.enqueue("symdb", b"x", content_type="a/b")
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
        assert until(lines.told(logging.WARNING, f"{host}/symdb/v1/input answered 404"), SOON)
        assert not lines.told(logging.INFO, "answers again")()
        knows_symbols.set()
        sender.enqueue("symdb", b"x", content_type="a/b")
        assert sender.flush(10)
        over = f"{host}/symdb/v1/input answers again"
        assert until(lines.told(logging.INFO, over, "3 payloads were dropped"), SOON)


@pytest.mark.usefixtures("_quick")
def test_of_a_flood_of_trouble_little_is_written(make_sender: Make, lines: Lines) -> None:
    sender = make_sender(f"http://127.0.0.1:{free_port()}", max_queue_items=10)
    for n in range(20_000):
        sender.enqueue(("logs", "snapshots", "diagnostics", f"odd {n}")[n % 4], b"{}")
    until(lambda: False, 1)  # in which it may write ten times
    sender.close(0)
    warnings = lines.texts(logging.WARNING)
    assert len(warnings) <= 20
    assert max(map(len, warnings)) <= 500


@pytest.mark.usefixtures("_quick")
def test_no_line_is_written_by_who_enqueues_nor_while_it_holds_its_log_handlers_lock(
    make_sender: Make, lines: Lines
) -> None:
    sender = make_sender(f"http://127.0.0.1:{free_port()}", max_queue_items=1)
    lines.acquire()  # as a host that enqueues out of its handler
    try:
        for _ in range(100):
            sender.enqueue("logs", b"{}")
            sender.enqueue("logs", b"no JSON")
        assert lines.records == []
    finally:
        lines.release()
    assert until(lines.told(logging.WARNING, "queue_full"), SOON)
    assert until(lines.told(logging.WARNING, "invalid"), SOON)
    here = threading.get_ident()
    assert all(record.thread != here for record in lines.records)


@pytest.mark.usefixtures("_quick")
def test_a_failing_additional_endpoint_is_logged_by_its_name(
    make_sender: Make, lines: Lines
) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    with RecordingServer() as agent:
        sender = make_sender(agent.url, additional=(Endpoint(gone, KEY),))
        sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.WARNING, "additional endpoint", gone[7:]), SOON)
        (line,) = [text for text in lines.texts(logging.WARNING) if "gives no answer" in text]
        assert "gives no answer: connection refused" in line
        assert line.count(gone[7:]) == 1
        with RecordingServer(port=int(gone.rpartition(":")[2])) as additional:
            sender.enqueue("logs", b"{}")
            assert until(lambda: bool(additional.requests))
            over = (
                "additional endpoint",
                "answers again",
                "1 request failed and 1 copy was dropped",
            )
            assert until(lines.told(logging.INFO, *over), SOON)
        assert KEY not in str(lines.records)


@pytest.mark.usefixtures("_quick")
def test_an_additional_endpoint_that_refuses_the_key_is_said_to(
    make_sender: Make, lines: Lines
) -> None:
    with RecordingServer() as agent, RecordingServer(Reply(403)) as intake:
        sender = make_sender(agent.url, additional=(Endpoint(intake.url, KEY),))
        sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.WARNING, intake.url, "refused the API key (403)"), SOON)


@pytest.mark.usefixtures("_quick")
def test_an_additional_endpoint_that_hangs_is_told_of_while_the_request_lasts(
    make_sender: Make, lines: Lines
) -> None:
    with RecordingServer() as agent, RawServer(hang) as slow:
        sender = make_sender(agent.url, additional=(Endpoint(slow.url, timeout=60),))
        sender.enqueue("logs", b"{}")
        told = lines.told(logging.WARNING, "additional endpoint", slow.url, "no answer for")
        assert until(told, 2 * SOON)
        sender.close(0)


def test_each_requests_outcome_is_told_at_debug(make_sender: Make, lines: Lines) -> None:
    logger.setLevel(logging.DEBUG)
    answers = iter([503, 202, 400])
    with RecordingServer(lambda _: next(answers)) as agent:
        sender = make_sender(agent.url)
        for _ in range(2):
            sender.enqueue("logs", b"{}")
            assert sender.flush(20)
    told = [text for text in lines.texts(logging.DEBUG) if "answered" in text]
    # The port may look like a status.
    statuses = [re.search(r"answered (\d+)", text) for text in told]
    assert [found and found[1] for found in statuses] == ["503", "202", "400"]
    assert all("logs" in text and agent.url[7:] in text for text in told)


@pytest.mark.usefixtures("_quick")
def test_at_debug_requests_without_an_answer_and_copies_are_logged_too(
    make_sender: Make, lines: Lines
) -> None:
    logger.setLevel(logging.DEBUG)
    gone, lost = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with RecordingServer() as second:
        copies = (Endpoint(second.url), Endpoint(f"http://{lost}"))
        sender = make_sender(f"http://{gone}", additional=copies)
        sender.enqueue("logs", b"{}")
        assert until(lines.told(logging.DEBUG, f"logs: {gone} gives no answer"))
        failed = [text for text in lines.texts(logging.DEBUG) if gone in text]
        assert all(text.count(gone) == 1 for text in failed)
        assert until(lines.told(logging.DEBUG, second.url, "answered 202"))
        assert until(lines.told(logging.DEBUG, lost, "gives no answer"))


def test_while_all_is_well_there_is_no_thread_for_the_log(make_sender: Make, lines: Lines) -> None:
    logger.setLevel(logging.WARNING)
    with RecordingServer() as agent:
        sender = make_sender(agent.url)
        for _ in range(10):
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
            assert "livedebug-log" not in [thread.name for thread in threading.enumerate()]
    assert lines.records == []
