"""Starting a thread from wherever `enqueue` was called."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable


def start_thread(run: Callable[[], None], name: str) -> bool:
    """Start a daemon thread; False where none can be started, or none should be.

    `Thread.start` takes a lock of the `threading` module which the very code that we
    interrupt (in a signal handler, in a finalizer) may hold, and waits for the new
    thread. So a bare thread, which takes no lock, does the start in our place.
    """
    if uwsgi_is_to_fork():
        return False
    try:
        thread = threading.Thread(target=run, name=name, daemon=True)
        _thread.start_new_thread(_start, (thread,))
    except RuntimeError:  # interpreter shutdown, a thread limit, a subinterpreter
        return False
    return True


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError:  # it was the last thread to be had: use it
        thread.run()


def uwsgi_is_to_fork() -> bool:
    """Is this uWSGI's process that loads the application before the workers are forked?

    It forks without the interpreter's lock: if a thread of ours holds it at that moment,
    the workers wait for it forever.
    """
    uwsgi = sys.modules.get("uwsgi")
    try:
        return uwsgi is not None and not (
            uwsgi.worker_id() or uwsgi.mule_id() or uwsgi.i_am_the_spooler()
        )
    except Exception:  # another module of that name, another release
        return False
