"""What waits for additional endpoints when a program ends."""

from __future__ import annotations

import time

import pytest
from programs import run
from servers import Arrived, RawServer, RecordingServer, hang

pytestmark = pytest.mark.waits


def slow(_: Arrived) -> int:
    time.sleep(0.3)
    return 202


def test_a_sender_that_goes_out_of_scope_after_a_flush_loses_no_additional_copy() -> None:
    script = """
        for _ in range(3):
            assert sender.enqueue("logs", b"{}") and sender.flush(20)
        del sender
    """
    with RecordingServer() as intake, RecordingServer(slow) as second:
        done = run(script, intake.url, second.url)
        assert done.returncode == 0, done.stderr
        assert len(intake.elements()) == len(second.elements()) == 3


#: All is imported in peace: on a busy machine that takes longer than the exit may.
WARM = """
        warm = SenderConfig()
        warm.set_endpoint(Endpoint(sys.argv[1]))
        warm.add_additional_debugger_endpoint(Endpoint(sys.argv[1]))
        first = Sender(warm)
        assert first.enqueue("logs", b"[]") and first.close(20)
        assert first.stats().additional_delivered == 1
"""


def test_additional_endpoints_that_hang_starve_no_other_at_exit() -> None:
    script = f"""{WARM}
        sender = Sender(config, shutdown_timeout=1.5)
        sender.enqueue("logs", b"{{}}")
    """
    with RecordingServer() as intake, RecordingServer() as second, RawServer(hang) as stuck:
        done = run(script, intake.url, stuck.url, stuck.url + "/other", second.url)
        assert done.returncode == 0, done.stderr
        assert len(intake.elements()) == len(second.elements()) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "later"])
def test_a_name_that_is_looked_up_for_ever_holds_no_exit_and_starves_no_other(begun: bool) -> None:
    script = f"""
        import socket, threading
        asked, look_up = threading.Event(), socket.getaddrinfo
        def stall(host, *more, **options):
            if not host.endswith(".test"):
                return look_up(host, *more, **options)
            asked.set()
            threading.Event().wait()
        socket.getaddrinfo = stall
        {WARM}
        sender = Sender(config, shutdown_timeout=1.5)
        sender.enqueue("logs", b"{{}}")
        if {begun}:
            assert asked.wait(20)
    """
    with RecordingServer() as intake, RecordingServer() as second:
        urls = ("http://stalls.test", second.url, "http://stalls-too.test", second.url + "/other")
        began = time.monotonic()
        done = run(script, intake.url, *urls)
        assert done.returncode == 0, done.stderr
        assert len(intake.elements()) == 1
        assert len(second.elements()) == 2
        assert time.monotonic() - began < 30
