"""Clocks that a host's tests stop, with the real freezegun."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest
from programs import run
from servers import RawServer, RecordingServer, hang

from livedebug_sender import Sender
from livedebug_sender.protocol.retry_after import parse_retry_after
from livedebug_sender.runtime.clock import wall_clock

freezegun = pytest.importorskip("freezegun")
Make = Callable[..., Sender]


def test_under_a_frozen_clock_flush_and_close_deliver(make_sender: Make) -> None:
    with RecordingServer() as intake, freezegun.freeze_time("2020-01-01"):
        sender = make_sender(intake.url)
        assert sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.enqueue("logs", b"{}")
        assert sender.close(10)
        assert sender.stats().delivered == 2


def test_under_a_frozen_clock_flush_and_close_return_in_time(make_sender: Make) -> None:
    with RawServer(hang) as stuck:
        sender = make_sender(stuck.url, timeout=60)
        began = wall_clock()
        with freezegun.freeze_time("2020-01-01"):
            assert sender.enqueue("logs", b"{}")
            assert sender.flush(0.3) is False
            assert sender.close(0.3) is False
        assert sender.stats().dropped == {"shutdown": 1}
        assert wall_clock() - began < 20


@pytest.mark.parametrize("where", ["before", "inside"])
def test_a_program_that_ends_under_a_frozen_clock_delivers_and_ends(where: str) -> None:
    freeze = """
        from freezegun import freeze_time
        freeze_time("2020-01-01").start()
    """
    enqueue = """
        assert sender.enqueue("logs", b"{}")
    """
    with RecordingServer() as intake:
        done = run(freeze + enqueue if where == "before" else enqueue + freeze, intake.url)
        assert done.returncode == 0, done.stderr
        assert len(intake.elements()) == 1


def test_a_retry_after_date_is_not_compared_with_a_frozen_clock() -> None:
    date = formatdate(wall_clock() + 60, usegmt=True)
    with freezegun.freeze_time("2020-01-01"):
        assert time.time() < wall_clock() - 1e6
        seconds = parse_retry_after(date, wall_clock())
    assert seconds is not None
    assert 50 < seconds <= 61


def test_an_answer_without_a_date_of_its_own_is_retried_when_it_says(make_sender: Make) -> None:
    date = formatdate(wall_clock() + 1, usegmt=True).encode()
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: " + date + b"\r\nContent-Length: 0\r\n\r\n"
    ready = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    answers = [ready, busy]

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(answers.pop())

    with RawServer(answer) as intake, freezegun.freeze_time("2020-01-01"):
        sender = make_sender(intake.url, retry_for=30)
        sender.enqueue("logs", b"{}")
        assert sender.flush(20)
        assert sender.stats().delivered == 1
