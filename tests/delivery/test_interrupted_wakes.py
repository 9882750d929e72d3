"""A signal handler that raises while a worker is woken or started: it is found out soon.

CPython runs handlers where a Python function begins and where a call of C has returned, which
are the events of a profiler that are struck at here, one after the other.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from servers import RecordingServer
from simulated_engine import new_engine
from waiting import until

from livedebug_sender import Endpoint, Sender
from livedebug_sender.protocol.request import Request
from livedebug_sender.transport.response import Response

Make = Callable[..., Sender]

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or sys.implementation.name != "cpython", reason="strikes as CPython"
)


class TimeOut(Exception):
    pass


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def raise_it(number: int, frame: FrameType | None) -> None:
        raise TimeOut

    before = signal.signal(signal.SIGALRM, raise_it)
    yield
    sys.setprofile(None)
    signal.signal(signal.SIGALRM, before)


def struck(call: Callable[[], object], position: int, within: str = "delivery/") -> bool:
    """Make a call, struck by the handler at a position; False if the call has fewer of them.

    Args:
        within: a part of the names of the files whose positions count.
    """
    left = [position]

    def strike(frame: FrameType, event: str, arg: object) -> None:
        file = Path(frame.f_code.co_filename).as_posix()
        if f"livedebug_sender/{within}" not in file or event not in ("call", "c_return"):
            return
        left[0] -= 1
        if left[0] == 0:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGALRM)

    sys.setprofile(strike)
    try:
        call()
    except TimeOut:
        pass
    finally:
        sys.setprofile(None)
    return left[0] <= 0


def delivers_what_comes_next(sender: Sender) -> bool:
    """Without a flush, and soon."""

    def all_delivered() -> bool:
        sender.enqueue("logs", b"[2]")
        time.sleep(0.05)
        return sender.stats().pending == 0

    return until(all_delivered)


def test_where_a_sleeping_worker_is_woken(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=0)
        position = 1
        while True:
            assert delivers_what_comes_next(sender), position
            time.sleep(0.01)  # the worker is about to sleep
            if not struck(lambda: sender.enqueue("logs", b"[1]"), position):
                break
            position += 1
        assert position > 10


class Threads:
    """A world in which threads are started, if they can be, and never begin."""

    now = 0.0
    started = 0
    can_start = True

    def start_thread(self, run: Callable[[], None], name: str) -> bool:
        self.started += self.can_start and name == "livedebug-logs"
        return self.can_start

    def wait(self, timeout: float | None) -> None:
        self.now += timeout or 1.0


def test_where_a_worker_is_started() -> None:
    position, is_struck = 0, True
    while is_struck:
        world = Threads()
        engine = new_engine(world, lambda *_: None)  # type: ignore[arg-type]
        position += 1
        is_struck = struck(lambda one=engine: one.enqueue("logs", b"[1]", None), position)
        world.now += 1.5
        assert engine.enqueue("logs", b"[2]", None)
        assert world.started > 0, position
    assert position > 10


def test_a_thread_that_was_started_and_never_begins_is_replaced_by_the_next_enqueue() -> None:
    world = Threads()
    engine = new_engine(world, lambda *_: None)  # type: ignore[arg-type]
    for _ in range(3):
        assert engine.enqueue("logs", b"[1]", None)
    assert world.started == 1
    world.now += 4
    assert engine.enqueue("logs", b"[1]", None)
    assert world.started == 2


def test_where_flush_has_done_the_work_of_a_thread() -> None:
    class Intake(Threads):
        can_start = False

        def post(self, request: Request, *, deadline: float | None = None) -> Response:
            engine.enqueue("logs", b"[2]", None)  # as another thread may
            return Response(202, None, b"", None, len(request.body))

        def agent_info(self, agent: Endpoint, deadline: float | None = None) -> None:
            return None

    position, is_struck = 0, True
    while is_struck:
        world = Intake()
        engine = new_engine(world, lambda *_: None)  # type: ignore[arg-type]
        assert engine.enqueue("logs", b"[1]", None)
        position += 1
        is_struck = struck(lambda one=engine: one.flush(5), position, "delivery/worker")
        world.now += 10
        world.can_start = True
        assert engine.enqueue("logs", b"[3]", None)
        assert world.started > 0, position
    assert position > 10
