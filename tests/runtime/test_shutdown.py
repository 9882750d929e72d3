from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable

import pytest
from programs import run
from servers import Arrived, RawServer, RecordingServer, hang
from waiting import until

from livedebug_sender import Endpoint, PayloadRejected, Sender, SenderConfig
from livedebug_sender.runtime import shutdown
from livedebug_sender.runtime.fork import owned_by_this_process

Make = Callable[..., Sender]
NOBODY = "http://127.0.0.1:9"


class Door:
    """Something that can be closed."""

    def __init__(self, log: list[str], name: str) -> None:
        self.owned_by_this_process = owned_by_this_process()
        self._log = log
        self._name = name

    def begin_close(self) -> float:
        self._log.append(f"begin {self._name}")
        return 7.0

    def finish_close(self, deadline: float) -> bool:
        self._log.append(f"finish {self._name} by {deadline}")
        shutdown.unregister(self)
        return True


def test_what_is_registered_begins_to_close_before_any_is_waited_for() -> None:
    log: list[str] = []
    doors = [Door(log, "a"), Door(log, "b"), Door(log, "c")]
    for door in doors:
        shutdown.register(door)
    shutdown.unregister(doors[1])
    shutdown.close_all()
    assert log == ["begin a", "begin c", "finish a by 7.0", "finish c by 7.0"]
    assert not set(doors) & set(shutdown.registered())


@pytest.mark.parametrize("step", ["begin_close", "finish_close"])
def test_one_that_raises_keeps_no_other_from_its_close(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(*_: object) -> float:
        shutdown.unregister(doors[0])
        raise SystemExit(step)

    log: list[str] = []
    doors = [Door(log, "a"), Door(log, "b")]
    monkeypatch.setattr(doors[0], step, strike)
    for door in doors:
        shutdown.register(door)
    with pytest.raises(SystemExit, match=step):
        shutdown.close_all()
    assert [line for line in log if "b" in line.split()] == ["begin b", "finish b by 7.0"]


def test_a_fork_closes_nothing_of_its_parents() -> None:
    log: list[str] = []
    door = Door(log, "a")
    shutdown.register(door)
    door.owned_by_this_process = [0]  # as in the child of a server that forks in C
    shutdown.close_all()
    assert (shutdown.registered(), log) == ((), [])
    shutdown.unregister(door)


def test_at_exit_every_open_sender_is_closed_and_takes_no_more() -> None:
    with RecordingServer() as intake:
        script = """
            import atexit
            from livedebug_sender.runtime import shutdown
            senders = [Sender(config, linger=600, shutdown_timeout=20) for _ in range(3)]
            for one in senders:
                one.enqueue("logs", b"{}")
            shutdown.close_all()
            assert [one.stats().delivered for one in senders] == [1, 1, 1]
            assert not senders[0].enqueue("logs", b"{}")
            assert shutdown.registered() == ()
        """
        done = run(script, intake.url)
        # The drop may be in the log, where the end of the program takes a second and more.
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        assert len(intake.elements()) == 3


def test_a_sender_let_go_of_with_nothing_to_do_is_forgotten() -> None:
    before = len(shutdown.registered())
    config = SenderConfig()
    config.set_endpoint(Endpoint(NOBODY))
    sender = Sender(config)
    sender.stats()
    assert len(shutdown.registered()) == before + 1
    del sender
    assert len(shutdown.registered()) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_closed_sender_is_closed_too() -> None:
    script = """
        sender.close()
        pid = os.fork()
        if pid == 0:
            ok = not sender.enqueue("logs", b"{}")
            ok = ok and sender.stats().dropped == {"closed": 1} and "closed" in repr(sender)
            os._exit(0 if ok else 1)
        assert os.waitpid(pid, 0)[1] == 0
    """
    assert run(script, NOBODY).stderr == ""


def kill(thread: threading.Thread) -> None:
    """Have SystemExit raised in it, as hosts do that end the threads they find."""
    number = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(SystemExit))


def workers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "livedebug-logs"]


@pytest.mark.waits
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="kills as CPython does")
def test_a_killed_worker_is_replaced_and_nothing_is_lost(make_sender: Make) -> None:
    before = set(workers())
    answering = threading.Event()

    def answer(request: Arrived) -> int:
        answering.wait(10)
        return 202

    with RecordingServer(answer) as intake:
        sender = make_sender(intake.url)
        sender.enqueue("logs", b'{"n":1}')
        intake.wait_for(1)
        (worker,) = set(workers()) - before
        kill(worker)  # in the middle of a request; the exception comes with the answer
        sender.enqueue("logs", b'{"n":2}')
        answering.set()
        # No further call: nobody flushes.
        assert until(lambda: {"n": 2} in intake.elements())
        assert until(lambda: sender.stats().delivered == 2)
        assert until(lambda: worker not in workers())


@pytest.mark.waits
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="kills as CPython does")
def test_a_worker_that_is_killed_until_it_is_gone_is_replaced(
    make_sender: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is killed in the midst of pytest's hook too, which then fails the test.
    monkeypatch.setattr(threading, "excepthook", callable)
    before = set(workers())
    answering = threading.Event()

    def answer(request: Arrived) -> int:
        answering.wait(10)
        return 202

    def kill_until_gone() -> None:
        while worker.is_alive():
            kill(worker)
            time.sleep(0.001)

    with RecordingServer(answer) as intake:
        sender = make_sender(intake.url)
        sender.enqueue("logs", b'{"n":1}')
        intake.wait_for(1)
        (worker,) = set(workers()) - before
        sender.enqueue("logs", b'{"n":2}')
        killer = threading.Thread(target=kill_until_gone)
        killer.start()
        answering.set()
        killer.join(20)
        # No further call: nobody flushes.
        assert until(lambda: sender.stats().delivered == 2)
        assert not worker.is_alive()


def test_a_fault_that_stays_costs_the_batch_and_not_the_worker(make_sender: Make) -> None:
    import requests

    faulty = [True]

    def factory() -> requests.Session:
        if faulty:
            raise ZeroDivisionError
        return requests.Session()

    with RecordingServer() as intake:
        sender = make_sender(intake.url, retry_for=0.2, session_factory=factory)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        faulty.clear()
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        stats = sender.stats()
        assert (stats.delivered, stats.dropped) == (1, {"undeliverable": 1})


def test_a_stuck_additional_endpoint_is_left_at_the_timeout(make_sender: Make) -> None:
    with RecordingServer() as intake, RawServer(hang) as stuck:
        sender = make_sender(intake.url, additional=(Endpoint(stuck.url, timeout=0.2),))
        sender.enqueue("logs", b"{}")
        assert sender.close(5)
        assert sender.stats().additional_failed == 1


def test_a_rejection_survives_pickling() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(PayloadRejected(400, "no", "symdb")))
    assert (error.status, error.body, error.kind) == (400, "no", "symdb")


def test_without_pages_wiped_on_fork_the_process_id_tells_a_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "another")
    owned = owned_by_this_process()
    assert owned[0]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not owned[0]
