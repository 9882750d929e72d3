"""Threads of the sender that don't hold the process at its end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from livedebug_sender.runtime.threads import submit_unjoined, unjoined_executor


def test_executors_have_the_private_names_by_which_their_threads_are_not_joined() -> None:
    # `submit_unjoined` takes its threads out of the table of those that are joined at the
    # exit. Without these names a stalled endpoint holds the host's end: find out what took
    # their place.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()
        threads = getattr(executor, "_threads", None)
        assert isinstance(threads, set), "an executor keeps its threads elsewhere than in _threads"
        assert [type(one) for one in threads] == [threading.Thread]
        to_join = type(executor).__init__.__globals__.get("_threads_queues")
        assert to_join is not None, "the threads to join are elsewhere than in _threads_queues"
        assert threads <= set(to_join), "_threads_queues no longer has an executor's threads"


def test_the_threads_of_an_unjoined_executor_are_daemons_that_no_exit_joins() -> None:
    executor = unjoined_executor(1, "unjoined")
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait()
        done.set()

    submit_unjoined(executor, work)
    (thread,) = [one for one in threading.enumerate() if one.name.startswith("unjoined")]
    to_join = type(executor).__init__.__globals__["_threads_queues"]
    try:
        assert thread.daemon
        assert thread not in to_join
    finally:
        go_on.set()
    assert done.wait(30)
    executor.shutdown()
