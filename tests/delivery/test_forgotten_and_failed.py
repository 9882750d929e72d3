"""Accounts and endings where something fails once, or a sender is forgotten."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import UserDict
from collections.abc import Callable
from typing import Any

from servers import RawServer, RecordingServer, hang
from waiting import until

from livedebug_sender import (
    Endpoint,
    Sender,
    SenderConfig,
)
from livedebug_sender.runtime import shutdown

Make = Callable[..., Sender]


def test_close_says_false_where_a_payload_taken_meanwhile_is_lost(make_sender: Make) -> None:
    encoding, closed = threading.Event(), threading.Event()

    class Slow(UserDict):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            encoding.set()
            closed.wait(10)
            return super().__iter__()

    with RecordingServer() as server:
        sender = make_sender(server.url)
        sender.enqueue("logs", b"{}")
        taken: list[bool] = []
        thread = threading.Thread(target=lambda: taken.append(sender.enqueue("logs", Slow(a=1))))
        thread.start()
        encoding.wait()
        ended_well = sender.close(5.0)
        closed.set()
        thread.join()
        # Taken and lost, or taken and pending for ever, after a close that said True.
        assert not (ended_well and taken == [True]), sender.stats()


def test_an_earlier_close_is_not_prolonged_by_a_later_one(make_sender: Make) -> None:
    with RawServer(hang) as server:
        sender = make_sender(server.url, linger=0.0, timeout=20.0)
        sender.enqueue("logs", b"{}")
        assert server.arrived.wait(15)
        took: list[float] = []

        def close_soon() -> None:
            begun = time.monotonic()
            sender.close(0.6)
            took.append(time.monotonic() - begun)

        soon = threading.Thread(target=close_soon)
        soon.start()
        assert until(lambda: not sender.enqueue("logs", b"{}"))
        patient = threading.Thread(target=sender.close, args=(6.0,))
        patient.start()
        soon.join()
        patient.join()
        assert took[0] < 3.0
        assert server.connections == 1, "it was counted as lost, then sent again"


def test_an_import_that_fails_once_costs_no_payload() -> None:
    """As for want of file descriptors when the first payload comes."""
    program = """
import importlib.abc, sys
from servers import RecordingServer
from livedebug_sender import Endpoint, Sender, SenderConfig

class FailsOnce(importlib.abc.MetaPathFinder):
    failed = False
    def find_spec(self, name, path, target=None):
        if name == "requests.sessions" and not self.failed:
            self.failed = True
            raise OSError(24, "Too many open files")

sys.meta_path.insert(0, FailsOnce())
with RecordingServer() as server:
    config = SenderConfig()
    config.set_endpoint(Endpoint(server.url))
    with Sender(config, linger=0.0) as sender:
        for _ in range(3):
            sender.enqueue("logs", b"{}")
            sender.flush(8.0)
        print(sender.stats())
        assert sender.stats().delivered == 3
"""
    path = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
    environ = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_on_drop_may_close_the_sender_on_its_own_thread(make_sender: Make) -> None:
    took: list[float] = []

    def on_drop(*_: object) -> None:
        begun = time.monotonic()
        sender.close(4.0)
        took.append(time.monotonic() - begun)

    with RecordingServer(404) as server:
        sender = make_sender(server.url, on_drop=on_drop)
        sender.enqueue("diagnostics", b"{}")
        assert until(lambda: took)
        assert took[0] < 2.0


def test_forgotten_senders_leave_no_threads_and_no_engines(make_sender: Make) -> None:
    threads = set(threading.enumerate())
    engines = len(shutdown.registered())
    with RecordingServer() as additional, RecordingServer() as server:
        gone = []
        for _ in range(10):
            config = SenderConfig()
            config.set_endpoint(Endpoint(server.url))
            config.add_additional_debugger_endpoint(Endpoint(additional.url))
            sender = Sender(config, linger=0.02)
            sender.enqueue("logs", b"{}")
            gone.append(weakref.ref(sender))
            del sender
        gc.collect()
        assert not any(ref() for ref in gone)
        server.wait_for(10)
        additional.wait_for(10)

        def left() -> list[str]:
            gc.collect()
            return [
                t.name for t in threading.enumerate() if t not in threads and "livedebug" in t.name
            ]

        until(lambda: not left(), 3.0)
        assert not left()
        assert len(shutdown.registered()) == engines


def test_a_sender_is_gone_with_its_last_reference_though_it_was_flushed() -> None:
    config = SenderConfig()
    with RecordingServer() as server:
        config.set_endpoint(Endpoint(server.url))
        sender = Sender(config)
        sender.enqueue("logs", b"{}")
        gone = weakref.ref(sender)
        gc.disable()
        try:
            assert sender.flush(20)
            assert sender.stats().delivered == 1
            del sender
            assert gone() is None
        finally:
            gc.enable()


def test_a_session_factory_that_fails_once_costs_no_payload(make_sender: Make) -> None:
    import requests

    calls: list[int] = []

    def factory() -> requests.Session:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("too many open files")
        return requests.Session()

    with RecordingServer() as server:
        sender = make_sender(server.url, session_factory=factory)
        sender.enqueue("logs", b"{}")
        sender.flush(5.0)
        assert sender.stats().delivered == 1, sender.stats()


def test_forgotten_senders_are_forgotten_once_they_have_delivered() -> None:
    engines = set(map(id, shutdown.registered()))
    with RecordingServer() as server:
        for _ in range(20):
            config = SenderConfig()
            config.set_endpoint(Endpoint(server.url))
            Sender(config, linger=0.02).enqueue("logs", b"{}")
        gc.collect()
        server.wait_for(20)
        assert until(lambda: not set(map(id, shutdown.registered())) - engines, 3.0)
