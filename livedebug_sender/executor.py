"""A `ThreadPoolExecutor` that doesn't hold the process at its end.

At interpreter exit `concurrent.futures` joins the threads of every executor before any
`atexit` handler runs, so one stalled request would hold the host. The sender waits for
its couriers itself, as long as `shutdown_timeout` allows.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, thread


def _leave_unjoined() -> None:
    # The one table of threads to join has no public name; without it (another
    # implementation) they are joined, and an exit may take a request's timeout longer.
    getattr(thread, "_threads_queues", {}).pop(threading.current_thread(), None)


def additional_executor(threads: int) -> ThreadPoolExecutor:
    """Threads for additional endpoints; daemons if a daemon thread submits the work."""
    return ThreadPoolExecutor(threads, "livedebug-additional", initializer=_leave_unjoined)
