"""Starting a thread from wherever `enqueue` was called, in whatever host."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .host_signals import reraise_of_signal_handler
from .lazy_import import load

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

#: Seconds until a thread that was started has to have begun.
_BEGINS_WITHIN = 1.0


class ThreadStart:
    """Work that was handed to a new thread, which may never come to do it.

    Hosts wrap `Thread.start` (Sentry) or replace threads by green ones (eventlet); a thread
    that was started may not run. So it is the begin of the work that is waited for.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        # Whoever takes it out does it; `list.pop` can't be interrupted.
        self._to_do = [work]
        self._begun = _thread.allocate_lock()
        self._begun.acquire()

    def run(self) -> None:
        """Do the work, unless it was begun."""
        try:
            work = self._to_do.pop()
        except IndexError:
            return
        self._begun.release()
        work()

    def run_in_a_thread_of_its_own(self, name: str) -> None:
        """Start a `threading.Thread`; should it not come to work, do that here."""
        try:
            threading.Thread(target=self.run, name=name, daemon=True).start()
            self._begun.acquire(timeout=_BEGINS_WITHIN)
        except Exception:  # no more threads, or a wrapper's own fault
            pass
        self.run()


def start_thread(work: Callable[[], None], name: str) -> bool:
    """Start a daemon thread; False where none can be started, or none should be.

    `Thread.start` takes a lock of the `threading` module which the very code that we
    interrupt (in a signal handler, in a finalizer) may hold, and waits for the new
    thread. So a bare thread, which takes no lock, does the start in our place.
    """
    if uwsgi_is_to_fork():
        return False
    start = ThreadStart(work)
    try:
        _thread.start_new_thread(start.run_in_a_thread_of_its_own, (name,))
    except RuntimeError as error:  # interpreter shutdown, a thread limit, a subinterpreter
        reraise_of_signal_handler(error)
        return False
    return True


def uwsgi_is_to_fork() -> bool:
    """Is this uWSGI's process that loads the application before the workers are forked?

    It forks without the interpreter's lock: if a thread of ours holds it at that moment,
    the workers wait for it forever.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return False
    try:
        return not (uwsgi.worker_id() or uwsgi.mule_id() or uwsgi.i_am_the_spooler())
    except Exception as error:  # another module of that name, another release
        reraise_of_signal_handler(error)
        return False


# ---- executors ----


def unjoined_executor(threads: int, name: str) -> ThreadPoolExecutor:
    """An executor for `submit_unjoined`."""
    executor: ThreadPoolExecutor = load("concurrent.futures", "ThreadPoolExecutor")(threads, name)
    return executor


def submit_unjoined(executor: ThreadPoolExecutor, work: Callable[[], Any]) -> None:
    """Submit to an executor whose threads don't hold the process at its end.

    At interpreter exit `concurrent.futures` joins the threads of every executor before any
    `atexit` handler runs, so one stalled request would hold the host. Who submits here
    waits for the work itself, as long as its timeout allows.

    Raises:
        RuntimeError: no thread can be started.
    """
    if threading.current_thread().daemon:
        executor.submit(work)
    else:
        _submit_in_a_daemon(executor, work)
    # The table of threads to join has no public name; without it (another implementation)
    # they are joined, and an exit may take a request's timeout longer. A thread is entered
    # after its start, so it can't do this itself.
    to_join = type(executor).__init__.__globals__.get("_threads_queues", {})
    for thread in list(getattr(executor, "_threads", ())):
        to_join.pop(thread, None)


def _submit_in_a_daemon(executor: ThreadPoolExecutor, work: Callable[[], Any]) -> None:
    """A thread is a daemon if the thread that starts it is one."""
    failed: list[BaseException | None] = [RuntimeError("no thread can be started")]

    def submit() -> None:
        try:
            executor.submit(work)
            failed[0] = None
        except RuntimeError as error:
            failed[0] = error

    submitter = threading.Thread(target=submit, daemon=True)
    submitter.start()
    submitter.join()
    if failed[0] is not None:
        raise failed[0]
