"""A `ThreadPoolExecutor` that doesn't hold the process at its end.

At interpreter exit `concurrent.futures` joins the threads of every executor before any
`atexit` handler runs, so one stalled request would hold the host. The sender waits for
its couriers itself, as long as `shutdown_timeout` allows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, thread
from typing import Any


class UnjoinedExecutor(ThreadPoolExecutor):
    """Its threads are daemons, and not joined at exit."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = _in_a_daemon(lambda: super(UnjoinedExecutor, self).submit(fn, *args, **kwargs))
        # The table of threads to join has no public name; without it (another
        # implementation) they are joined, and an exit may take a request's timeout longer.
        # A thread is entered after its start, so it can't do this itself.
        to_join = getattr(thread, "_threads_queues", {})
        for worker in list(getattr(self, "_threads", ())):
            to_join.pop(worker, None)
        return future


def _in_a_daemon(submit: Callable[[], Future[Any]]) -> Future[Any]:
    """Submit from a daemon: a thread is one if the thread that starts it is."""
    if threading.current_thread().daemon:
        return submit()
    submitted: list[Future[Any]] = []
    submitter = threading.Thread(target=lambda: submitted.append(submit()), daemon=True)
    submitter.start()
    submitter.join()
    if not submitted:
        raise RuntimeError("no thread can be started")
    return submitted[0]


def additional_executor(threads: int) -> ThreadPoolExecutor:
    """Threads for additional endpoints."""
    return UnjoinedExecutor(threads, "livedebug-additional")
