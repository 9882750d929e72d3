"""What a host's signal handler raises in the middle of the sender; real signals."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest
from programs import run
from servers import RecordingServer

from livedebug_sender import Sender

Make = Callable[..., Sender]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs setitimer")

#: One strike after the other, at a random moment of a call, each awaited. CPython swallows
#: what is raised in finalizers, in weak references' callbacks and in parts of an import;
#: so does a library's own `except`. But none that has come up in a frame of this package may
#: be lost: its traceback would then end there. One that C code swallowed before any Python
#: code saw it (an unclosed socket's finalizer, in the middle of its warning) has no traceback
#: at all before Python 3.12.
STORM = """
    import _thread, random, signal, threading
    THREADS, KIND, NAMES, SPAN, SECONDS = PARAMETERS

    def refuse(*_, **__):
        raise RuntimeError("can't start new thread")

    if not THREADS:
        for module, name in (
            (_thread, "start_new_thread"),
            (threading, "_start_new_thread"),
            (threading, "_start_joinable_thread"),
        ):
            setattr(module, name, refuse)

    class TimeOut(KIND):
        pass

    strikes = reached = swallowed = 0
    last = None

    def handler(number, frame):
        global strikes, last
        strikes += 1
        last = TimeOut()
        raise last

    def lost_here():
        traceback, frames = last.__traceback__, []
        while traceback is not None:
            code = traceback.tb_frame.f_code
            frames.append((code.co_filename, code.co_name))
            traceback = traceback.tb_next
        if not frames or frames[0][1] == "__del__":
            return []
        return frames if "livedebug_sender" in frames[0][0] else []

    def wait_for_another_than(before):  # a function: see runtime/test_jumps.py
        while strikes == before:
            time.sleep(0)  # lets the lock go: CPython 3.12 may else forget a signal

    signal.signal(signal.SIGALRM, handler)
    payload = b'{"a":"' + b"x" * 3000 + b'"}'
    bounds = {"linger": 0.01, "max_queue_items": 200, "max_queue_bytes": 1_000_000}
    sender = Sender(config, **bounds)
    closing = []

    def new_sender():
        closing.append(Sender(config, **bounds))
        for _ in range(3):
            closing[-1].enqueue("logs", payload)

    calls = {
        "enqueue": lambda: sender.enqueue(random.choice(("logs", "diagnostics")), payload),
        "encode": lambda: sender.enqueue("logs", {"a": ["x" * 100] * 30}),
        "stats": lambda: sender.stats(),
        "flush": lambda: sender.flush(0.5),
        "close": lambda: closing[-1].close(0.5),
    }
    # Imported in peace: CPython's own import swallows what is raised in some of its lines.
    warm = Sender(config)
    warm.enqueue("logs", payload)
    assert warm.close(20)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or strikes <= 100:  # a busy machine needs longer
        name = random.choice(NAMES)
        if name == "close":
            new_sender()
        elif name == "flush":
            sender.enqueue("logs", payload)
        before = strikes
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000001, SPAN))
            calls[name]()
            wait_for_another_than(before)
        except TimeOut:
            reached += 1
        else:
            swallowed += 1
            assert not lost_here(), lost_here()
    assert reached + swallowed == strikes > 100, (reached, swallowed, strikes)
    assert swallowed <= 3 + strikes // 50, (swallowed, strikes)
    assert sender.flush(20), sender.stats()
    for _ in range(100):  # no room is lost
        assert sender.enqueue("diagnostics", payload)
    assert sender.flush(20), sender.stats()
    stats = sender.stats()
    assert stats.enqueued == stats.delivered, stats
    assert (stats.pending, stats.pending_bytes) == (0, 0), stats
    assert sender.close(20)
    for one in closing:
        one.close(20)
        one = one.stats()
        assert (one.pending, one.pending_bytes) == (0, 0), one
        lost = sum(one.dropped[why] for why in ("rejected", "undeliverable", "shutdown"))
        assert 3 == one.enqueued + one.dropped["closed"], one
        assert one.enqueued == one.delivered + lost, one
    cut = sum(one.stats().dropped["shutdown"] for one in closing)
    print(1 + stats.delivered + sum(one.stats().delivered for one in closing), cut)
"""


def storm(threads: bool, kind: str, names: str, span: float) -> None:
    parameters = f"{threads}, {kind}, {names.split()!r}, {span}, 0.5"
    with RecordingServer() as intake:
        done = run(STORM.replace("PARAMETERS", parameters), intake.url, timeout=100)
        assert done.returncode == 0, done.stderr[-3000:]
        delivered, cut = map(int, done.stdout.split())
        # A request that was cut may have arrived, and is made again.
        assert len(intake.elements()) >= delivered
        if threads:
            # On a busy machine a `close` may run out of time in the middle of a request.
            assert len(intake.elements()) <= delivered + cut


@pytest.mark.parametrize("names", ["enqueue encode", "enqueue stats", "enqueue flush stats"])
def test_what_a_signal_handler_raises_reaches_the_host_and_costs_no_payload_and_no_room(
    names: str,
) -> None:
    storm(True, "Exception", names, 0.00006)


@pytest.mark.parametrize("kind", ["Exception", "TimeoutError", "ConnectionResetError"])
@pytest.mark.parametrize("names", ["enqueue flush stats", "close"])
def test_without_threads_it_reaches_the_host_out_of_the_work_of_flush_and_close(
    kind: str, names: str
) -> None:
    storm(False, kind, names, 0.003)


@pytest.mark.parametrize("kind", ["Exception", "RuntimeError"])
def test_it_reaches_the_host_out_of_close(kind: str) -> None:
    storm(True, kind, "close", 0.001)


def test_a_handler_that_takes_itself_out_and_ends_the_program_does_so_out_of_enqueue() -> None:
    script = """
        import signal
        def end(number, frame):
            signal.signal(number, signal.SIG_DFL)
            sys.exit(7)
        signal.signal(signal.SIGTERM, end)
        class Terminated(dict):
            def items(self):
                signal.raise_signal(signal.SIGTERM)
        sender.enqueue("logs", Terminated(a=1))
    """
    assert run(script, "http://127.0.0.1:9").returncode == 7


def test_around_request_that_raises_a_cancellation_costs_no_payload(make_sender: Make) -> None:
    def hook() -> None:
        raise asyncio.CancelledError

    with RecordingServer() as intake:
        sender = make_sender(intake.url, around_request=hook)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().delivered == 1
