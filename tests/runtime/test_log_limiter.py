"""What the log says of problems that repeat, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from waiting import until

from livedebug_sender.runtime import log_reporter
from livedebug_sender.runtime.log_limiter import MAX_KINDS, MAX_LENGTH, LogLimiter, logger
from livedebug_sender.runtime.log_reporter import LogReporter


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> LogLimiter:
    return LogLimiter(clock)


def texts(limiter: LogLimiter, *, final: bool = False) -> list[str]:
    return [line.text for line in limiter.due(final=final)]


def test_a_problem_is_one_line_and_then_its_count_once_a_minute(
    limiter: LogLimiter, clock: Clock
) -> None:
    assert limiter.note("kind", "trouble")
    assert not limiter.note("kind", "trouble")
    assert texts(limiter) == ["trouble (2 times)"]
    limiter.note("kind", "trouble", 5)
    clock.now += 59
    assert texts(limiter) == []
    clock.now += 1
    assert texts(limiter) == ["trouble (5 times in 60 s)"]
    clock.now += 600
    assert texts(limiter) == []
    limiter.note("kind", "trouble")
    assert texts(limiter) == ["trouble (1 time in 600 s)"]


def test_kinds_are_counted_apart_and_the_last_detail_is_told(limiter: LogLimiter) -> None:
    limiter.note("a", "a: refused")
    limiter.note("b", "b: hangs", level=logging.INFO)
    limiter.note("a", "a: reset")
    assert limiter.due() == [
        (logging.WARNING, "a: reset (2 times)"),
        (logging.INFO, "b: hangs"),
    ]


def test_at_the_end_what_was_kept_back_is_told(limiter: LogLimiter) -> None:
    limiter.note("kind", "trouble")
    assert len(texts(limiter)) == 1
    limiter.note("kind", "trouble", 3)
    assert texts(limiter, final=True) == ["trouble (3 times in 1 s)"]
    assert texts(limiter, final=True) == []


def test_no_line_is_told_twice_in_the_same_words(limiter: LogLimiter, clock: Clock) -> None:
    told = []
    for seconds in (0, 0.2, 30):
        clock.now += seconds
        limiter.note("kind", "trouble")
        told += texts(limiter, final=True)
    assert told == ["trouble", "trouble (1 time in 1 s)", "trouble (1 time in 30 s)"]


def test_what_is_settled_is_not_told_but_what_comes_after_is(
    limiter: LogLimiter, clock: Clock
) -> None:
    limiter.note("kind", "trouble", 7)
    limiter.settle("kind")
    limiter.settle("unknown")
    assert limiter.next_due() is None
    assert texts(limiter, final=True) == []
    limiter.note("kind", "trouble")
    assert texts(limiter) == ["trouble"]


def test_when_the_next_line_is_due_is_known(limiter: LogLimiter, clock: Clock) -> None:
    assert limiter.next_due() is None
    limiter.note("kind", "trouble")
    due = limiter.next_due()
    assert due is not None
    assert due <= clock.now
    limiter.due()
    assert limiter.next_due() is None
    limiter.note("kind", "trouble")
    assert limiter.next_due() == clock.now + 60


def test_however_much_goes_wrong_the_log_stays_short(limiter: LogLimiter, clock: Clock) -> None:
    for minute in range(3):
        for kind in range(1000):
            limiter.note(kind, f"kind {kind} " + "x" * 10_000)
        lines = texts(limiter)
        assert len(lines) <= MAX_KINDS + 1
        assert max(map(len, lines)) <= MAX_LENGTH
        assert texts(limiter) == []
        clock.now += 60
        assert any(f"({1000 - MAX_KINDS} times" in line for line in lines), minute


def test_each_of_many_threads_is_counted_and_no_line_is_written_twice() -> None:
    limiter = LogLimiter(lambda: 1000.0)
    lines: list[str] = []

    def work() -> None:
        for _ in range(2000):
            limiter.note("kind", "trouble")
            lines.extend(texts(limiter))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines) == 1
    (last,) = texts(limiter, final=True)
    counted = [int("".join(filter(str.isdigit, line.partition("(")[2].partition(" ")[0])) or 1)
               for line in (lines[0], last)]  # fmt: skip
    assert sum(counted) == 8000


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, SystemExit])
def test_a_filter_that_raises_costs_its_line_only(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    limiter = LogLimiter()
    limiter.note("bad", "bad")
    limiter.note("good", "good")

    def refuse(record: logging.LogRecord) -> bool:
        if record.getMessage() == "bad":
            raise error("the host's")
        return True

    logger.addFilter(refuse)
    try:
        limiter.report()
    finally:
        logger.removeFilter(refuse)
    assert [record.getMessage() for record in caplog.records] == ["good"]


def test_a_debug_line_is_written_at_once_if_the_host_logs_them(
    caplog: pytest.LogCaptureFixture, limiter: LogLimiter
) -> None:
    limiter.debug("%s: %s answered %s", "logs", "h", 202)
    assert not caplog.records
    caplog.set_level(logging.DEBUG, logger.name)
    limiter.debug("%s: %s answered %s", "logs", "h", 202)
    assert [record.getMessage() for record in caplog.records] == ["logs: h answered 202"]


def test_what_a_signal_handler_raises_while_a_line_is_written_reaches_the_host() -> None:
    class TimeIsOver(Exception):
        pass

    def on_alarm(number: int, frame: object) -> None:
        raise TimeIsOver

    def strike(record: logging.LogRecord) -> bool:
        signal.raise_signal(signal.SIGALRM)
        return True

    limiter = LogLimiter()
    limiter.note("kind", "trouble")
    before = signal.signal(signal.SIGALRM, on_alarm)
    logger.addFilter(strike)
    try:
        with pytest.raises(TimeIsOver):
            limiter.report()
    finally:
        logger.removeFilter(strike)
        signal.signal(signal.SIGALRM, before)
    assert limiter.next_due() is None  # and no lock is left taken
    limiter.report(final=True)


# ---- the thread that writes the lines ----


@pytest.fixture
def reporter() -> Iterator[LogReporter]:
    made = LogReporter()
    yield made
    made.close()


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter sleeps of the thread, where their length takes part in no claim."""
    monkeypatch.setattr(log_reporter, "GATHER", 0.1)
    monkeypatch.setattr(log_reporter, "SLOW_AFTER", 0.5)


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def said(caplog: pytest.LogCaptureFixture, text: str) -> Callable[[], bool]:
    return lambda: any(text in record.getMessage() for record in list(caplog.records))


@pytest.mark.waits
def test_a_line_is_written_though_nobody_asks_and_not_by_who_noted_it(
    reporter: LogReporter, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        reporter.note("kind", "trouble")
    assert not caplog.records
    assert until(said(caplog, "trouble (10 times)"))
    assert caplog.records[0].threadName == "livedebug-log"
    assert until(lambda: "livedebug-log" not in names_of_threads())


def test_without_anything_to_write_there_is_no_thread() -> None:
    started: list[str] = []
    reporter = LogReporter(start=lambda _, name: started.append(name))
    with reporter.watching(3.0, lambda _: None):
        pass
    reporter.report()
    reporter.close()
    assert started == []


def test_no_more_than_one_thread_is_started_however_much_is_noted() -> None:
    started: list[str] = []
    clock = Clock()
    reporter = LogReporter(clock, start=lambda _, name: started.append(name))
    for _ in range(1000):
        reporter.note("kind", "trouble")
    assert len(started) == 1
    clock.now += 1  # it never came: no thread could be had
    reporter.note("kind", "trouble")
    assert len(started) == 2


@pytest.mark.usefixtures("_quick")
def test_a_count_that_is_kept_back_keeps_the_thread_until_it_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    reporter = LogReporter(clock)
    reporter.note("kind", "trouble")
    assert until(said(caplog, "trouble"))
    clock.now += 1
    reporter.note("kind", "trouble", 4)
    assert until(lambda: "livedebug-log" in names_of_threads())
    assert len(caplog.records) == 1
    clock.now += 59
    assert until(said(caplog, "trouble (4 times in 60 s)"))
    assert until(lambda: "livedebug-log" not in names_of_threads())


@pytest.mark.usefixtures("_quick")
def test_something_new_is_told_soon_though_a_count_of_something_else_is_kept_back(
    reporter: LogReporter, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.note("old", "old trouble")
    assert until(said(caplog, "old trouble"))
    reporter.note("old", "old trouble")  # for which the thread sleeps a minute
    time.sleep(0.4)  # by now it does
    began = time.monotonic()
    reporter.note("new", "new trouble")
    assert until(said(caplog, "new trouble"), 20)
    assert time.monotonic() - began < 10
    assert len(caplog.records) == 2


@pytest.mark.usefixtures("_quick")
def test_a_request_that_takes_long_is_told_of_once_a_minute_while_it_lasts() -> None:
    clock = Clock()
    reporter = LogReporter(clock)
    slow: list[float] = []
    slow_after = log_reporter.SLOW_AFTER
    with reporter.watching(300.0, slow.append):
        time.sleep(0)
        assert slow == []
        for minute in range(2):
            clock.now += slow_after if minute == 0 else 60.0
            assert until(lambda count=minute + 1: len(slow) == count)
            time.sleep(0.3)  # it looks each eighth of a second
            assert len(slow) == minute + 1
    assert slow == [slow_after, slow_after + 60.0]
    reporter.close()
    assert until(lambda: "livedebug-log" not in names_of_threads())


def test_close_writes_what_is_left_at_once_and_ends_the_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter = LogReporter()
    reporter.note("kind", "trouble")
    reporter.close()
    assert [record.getMessage() for record in caplog.records] == ["trouble"]
    assert until(lambda: "livedebug-log" not in names_of_threads())


def test_what_is_noted_after_a_close_is_one_line_and_keeps_no_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter = LogReporter()
    reporter.close()
    reporter.note("closed", "payloads dropped")
    assert until(said(caplog, "payloads dropped"))
    reporter.note("closed", "payloads dropped")
    assert until(lambda: "livedebug-log" not in names_of_threads())
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("_quick")
def test_a_handler_that_hangs_holds_nobody_up_who_notes() -> None:
    hanging = threading.Event()

    class Hangs(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            hanging.wait(30)

    handler = Hangs()
    reporter = LogReporter()
    logger.addHandler(handler)
    try:
        reporter.note("kind", "trouble")
        assert until(lambda: reporter.next_due() is None)  # taken, and now being written
        began = time.monotonic()
        for kind in range(100):
            reporter.note(kind, "more")
        assert time.monotonic() - began < 5
    finally:
        hanging.set()
        logger.removeHandler(handler)
        reporter.close()
