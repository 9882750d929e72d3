"""What waits for additional endpoints when a program ends."""

from __future__ import annotations

import time

from programs import run
from servers import Arrived, RawServer, RecordingServer, hang


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


def test_additional_endpoints_that_hang_starve_no_other_at_exit() -> None:
    script = """
        sender.enqueue("logs", b"{}")
    """
    with RecordingServer() as intake, RecordingServer() as second, RawServer(hang) as stuck:
        done = run(script, intake.url, stuck.url, stuck.url + "/other", second.url)
        assert done.returncode == 0, done.stderr
        assert len(intake.elements()) == len(second.elements()) == 1
