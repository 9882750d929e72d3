"""Which exceptions came out of a host's signal handler; real signals."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from livedebug_sender.runtime.host_signals import (
    raised_by_signal_handler,
    reraise_of_signal_handler,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGALRM")


class TimeOut(Exception):
    """What the host's handler raises."""


@pytest.fixture
def of_handler() -> Iterator[TimeOut]:
    """An exception that came out of a handler, which is registered still."""

    def handler(*_: object) -> None:
        raise TimeOut

    before = signal.signal(signal.SIGALRM, handler)
    with pytest.raises(TimeOut) as raised:
        signal.raise_signal(signal.SIGALRM)
    yield raised.value
    signal.signal(signal.SIGALRM, before)


def take_out(number: int) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise TimeOut


def gets_all(*given: object) -> None:
    take_out(signal.SIGALRM)


def gets_two(number: int, frame: FrameType | None) -> None:
    take_out(number)


class HasMethod:
    def gets_two(self, number: int, frame: FrameType | None) -> None:
        take_out(number)


@pytest.mark.parametrize("handler", [gets_all, gets_two, HasMethod().gets_two])
def test_a_handler_that_takes_itself_out_before_it_raises_is_known(handler: Any) -> None:
    before = signal.signal(signal.SIGALRM, handler)
    with pytest.raises(TimeOut) as raised:
        signal.raise_signal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, before)
    assert raised_by_signal_handler(raised.value)


def test_a_function_that_looks_at_its_callers_frame_is_no_handler() -> None:
    def look(number: int) -> None:
        frame = sys._getframe(1)
        raise TimeOut(frame.f_lineno + number)

    with pytest.raises(TimeOut) as raised:
        look(14)
    assert not raised_by_signal_handler(raised.value)


def wrapped(error: Exception) -> TimeOut:
    try:
        raise TimeOut("encoding with 'idna' codec failed") from error
    except TimeOut as wrapper:
        return wrapper


def test_an_exception_of_a_handler_is_known_though_a_library_wraps_it(of_handler: TimeOut) -> None:
    assert raised_by_signal_handler(wrapped(wrapped(of_handler)))
    with pytest.raises(TimeOut) as raised:
        reraise_of_signal_handler(wrapped(wrapped(of_handler)))
    assert raised.value is of_handler  # the host's own, not the wrapper


def test_what_is_raised_while_the_host_handles_its_time_out_is_not_taken_for_it(
    of_handler: TimeOut,
) -> None:
    def handle() -> None:
        try:
            raise of_handler
        except TimeOut:
            raise ConnectionResetError from None

    with pytest.raises(ConnectionResetError) as raised:
        handle()
    assert raised.value.__context__ is of_handler
    assert not raised_by_signal_handler(raised.value)


def test_causes_in_a_circle_are_looked_at_and_left() -> None:
    first, second = TimeOut(), TimeOut()
    first.__cause__, second.__cause__ = second, first
    assert not raised_by_signal_handler(first)


def test_an_exception_that_nothing_else_was_called_for_asks_for_no_handlers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As that of a lock which is free already: on the way of `enqueue`."""
    asked: list[int] = []
    with pytest.raises(RuntimeError) as raised:
        threading.Lock().release()
    monkeypatch.setattr(signal, "getsignal", asked.append)
    assert not raised_by_signal_handler(raised.value)
    assert asked == []
