"""What deliveries leave behind: nothing that only the garbage collector could free.

What is in a reference cycle stays in memory, with all that it refers to, until the host's
collector runs: batches that nobody counts any more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

import pytest
from programs import run
from servers import (
    EarlyServer,
    RawServer,
    RecordingServer,
    Reply,
    cut,
    drip,
    free_port,
    full_backlog,
    hang,
)

PROGRAM = """
    import gc
    from livedebug_sender.delivery import backoff
    backoff.FIRST = 0.05
    config.set_endpoint(Endpoint(sys.argv[1], timeout=0.1))
    config.set_symdb_endpoint(Endpoint(sys.argv[1], timeout=0.1))
    sender = Sender(config, linger=0, max_payload_bytes=2**22, retry_for=0.2)

    def deliver():
        sender.enqueue("logs", b'{"a":"' + b"x" * 2**21 + b'"}')
        sender.enqueue("symdb", b"body", content_type="text/plain")
        assert sender.flush(20)

    deliver()  # what the first one loads leaves some
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    deliver()
    stats = sender.stats()
    assert IS_WELL or stats.retries or stats.dropped, stats
    gc.collect()
    print([f"{type(one).__name__} {one!r:.60}" for one in gc.garbage])
"""


@contextmanager
def answering(*replies: Reply) -> Iterator[str]:
    """One after the other, again and again."""
    number = count()
    with RecordingServer(lambda _: replies[next(number) % len(replies)]) as intake:
        yield intake.url


@contextmanager
def raw(server: RawServer | EarlyServer) -> Iterator[str]:
    with server:
        yield server.url


@contextmanager
def nobody(host: str) -> Iterator[str]:
    yield f"http://{host}:{free_port()}"


GOOD = Reply(202)
INTAKES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "accepts": lambda: answering(GOOD),
    "accepts and hangs up": lambda: answering(Reply(202, hang_up=True)),
    "answers 503 first": lambda: answering(Reply(503), Reply(503), GOOD),
    "asks for a pause": lambda: answering(Reply(429, {"Retry-After": "0"}), GOOD),
    "refuses": lambda: answering(Reply(413), Reply(400)),
    "is not there": lambda: nobody("localhost"),
    "has no name": lambda: nobody("no-such-host.invalid"),
    "takes no connection": full_backlog,
    "hangs": lambda: raw(RawServer(hang)),
    "drips": lambda: raw(RawServer(drip)),
    "cuts its answer": lambda: raw(RawServer(cut)),
    "reads nothing": lambda: raw(EarlyServer(b"", "stop")),
    "closes early": lambda: raw(EarlyServer(b"", "close")),
    "speaks nonsense": lambda: raw(RawServer(lambda one, _: one.sendall(b"nonsense\r\n\r\n"))),
}


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="its collector also finds what only another thread's count still holds",
)
@pytest.mark.waits
@pytest.mark.parametrize("intake", INTAKES)
def test_no_delivery_leaves_the_garbage_collector_anything_to_do(intake: str) -> None:
    with INTAKES[intake]() as url:
        done = run(PROGRAM.replace("IS_WELL", str(intake.startswith("accepts"))), url)
        assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
