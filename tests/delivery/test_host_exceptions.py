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

STORM = """
    import random, signal, threading
    class TimeOut(Exception): pass
    strikes = 0
    def handler(number, frame):
        global strikes
        strikes += 1
        raise TimeOut
    signal.signal(signal.SIGALRM, handler)
    reached = answered = refused = 0
    payload = b'{"a":"' + b"x" * 3000 + b'"}'
    sender = Sender(config, linger=0.01, max_queue_items=200, max_queue_bytes=1_000_000)
    calls = {
        "enqueue": lambda: sender.enqueue(random.choice(("logs", "diagnostics")), payload),
        "encode": lambda: sender.enqueue("logs", {"a": ["x" * 100] * 30}),
        "stats": lambda: sender.stats(),
        "flush": lambda: sender.flush(0.05),
    }
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        name = random.choice(NAMES)
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000001, 0.00006))
            answer = calls[name]()
            while True:  # until it strikes: each strike is awaited, none is left over
                pass
        except TimeOut:
            reached += 1
    assert reached == strikes > 100, (reached, strikes)
    assert sender.flush(20), sender.stats()
    for _ in range(100):  # no room is lost
        assert sender.enqueue("diagnostics", payload)
    assert sender.flush(20), sender.stats()
    stats = sender.stats()
    assert stats.enqueued == stats.delivered, stats
    assert (stats.pending, stats.pending_bytes) == (0, 0), stats
    assert sender.close(20)
    print(stats.delivered, strikes)
"""


@pytest.mark.parametrize("names", ["enqueue encode", "enqueue stats", "enqueue flush stats"])
def test_what_a_signal_handler_raises_reaches_the_host_and_costs_no_payload_and_no_room(
    names: str,
) -> None:
    script = STORM.replace("SECONDS", "1.5").replace("NAMES", repr(names.split()))
    with RecordingServer() as intake:
        done = run(script, intake.url, timeout=100)
        assert done.returncode == 0, done.stderr
        delivered = int(done.stdout.split()[0])
        assert len(intake.elements()) == delivered


def test_around_request_that_raises_a_cancellation_costs_no_payload(make_sender: Make) -> None:
    def hook() -> None:
        raise asyncio.CancelledError

    with RecordingServer() as intake:
        sender = make_sender(intake.url, around_request=hook)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().delivered == 1
