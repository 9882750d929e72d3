"""Subinterpreters with a GIL of their own: a sender in each works, and ends."""

from __future__ import annotations

import sys
import textwrap
import time

import pytest
from programs import run
from servers import RawServer, RecordingServer, hang

#: What is run in a subinterpreter begins with this.
INNER = """
from livedebug_sender import *
config = SenderConfig()
config.set_endpoint(Endpoint(URL))
sender = Sender(config, shutdown_timeout=TIMEOUT)
"""
#: Starts threads, each of which runs the text `inner` in a subinterpreter of its own.
OUTER = """
import threading
from concurrent import interpreters

failures = []

def work(n):
    made = interpreters.create()
    try:
        made.prepare_main(URL=sys.argv[1], TIMEOUT=timeout, n=n)
        made.exec(inner)
    except BaseException as error:
        failures.append(error)
    finally:
        made.close()

def in_subinterpreters(count):
    threads = [threading.Thread(target=work, args=[n]) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert interpreters.list_all() == [interpreters.get_main()]
"""

public = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="there is no concurrent.interpreters before Python 3.14"
)


def program(inner: str, outer: str, timeout: float = 20) -> str:
    text = INNER + textwrap.dedent(inner)
    return f"inner = {text!r}\ntimeout = {timeout}\n{OUTER}" + textwrap.dedent(outer)


@pytest.mark.skipif(
    not (3, 12) <= sys.version_info < (3, 14),
    reason="older ones share one GIL, newer ones have a public module",
)
def test_in_an_isolated_subinterpreter_flush_delivers() -> None:
    # These Pythons have no public name for it.
    with RecordingServer() as intake:
        inner = f"URL = {intake.url!r}\nTIMEOUT = 20\n{INNER}" + textwrap.dedent("""
            assert sender.enqueue("logs", {"n": 1})
            assert sender.flush(20), sender.stats()
            assert sender.close(20)
        """)
        script = f"""
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            made = interpreters.create()
            failed = interpreters.run_string(made, {inner!r})
            assert failed is None, failed
            interpreters.destroy(made)
        """
        done = run(script, intake.url)
        assert "Error" not in done.stderr, done.stderr
        assert intake.elements() == [{"n": 1}]


@public
@pytest.mark.parametrize("ending", ["assert sender.flush(20)", "assert sender.close(20)", ""])
def test_senders_of_subinterpreters_side_by_side_deliver_each_its_own(ending: str) -> None:
    inner = f"""
        assert sender.enqueue("logs", {{"n": n}})
        {ending}
        assert sender.stats().enqueued == 1
    """
    outer = """
        sender.enqueue("logs", {"n": "main"})
        in_subinterpreters(3)
        assert sender.close(20)
        assert sender.stats().delivered == sender.stats().enqueued == 1
    """
    with RecordingServer() as intake:
        done = run(program(inner, outer), intake.url)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        assert sorted(str(e["n"]) for e in intake.elements()) == ["0", "1", "2", "main"]


@public
def test_a_stuck_intake_delays_the_end_of_a_subinterpreter_by_the_timeout() -> None:
    outer = """
        begun = time.monotonic()
        in_subinterpreters(1)
        print(time.monotonic() - begun)
    """
    with RawServer(hang) as intake:
        begun = time.monotonic()
        done = run(program('sender.enqueue("logs", {"n": n})', outer, timeout=0.5), intake.url)
        assert time.monotonic() - begun < 30
    assert done.returncode == 0, done.stderr
    assert "shutdown" in done.stderr  # the log says what was lost
    assert float(done.stdout) >= 0.5
