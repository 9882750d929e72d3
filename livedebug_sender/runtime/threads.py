"""Starts threads, wherever `enqueue` was called, in any host."""

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

#: Seconds within which a started thread must begin its work.
_BEGINS_WITHIN = 1.0


class ThreadStart:
    """Work for a new thread, which may never run.

    Hosts wrap `Thread.start` (Sentry) or replace threads by green ones (eventlet); a thread
    that was started may not run. So this waits until the work itself has begun.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        # The thread that pops the work does it; `list.pop` can't be interrupted.
        self._to_do = [work]
        self._begun = _thread.allocate_lock()
        self._begun.acquire()

    def run(self) -> None:
        """Do the work, unless another thread has begun it."""
        try:
            work = self._to_do.pop()
        except IndexError:
            return
        self._begun.release()
        work()

    def run_in_a_thread_of_its_own(self, name: str) -> None:
        """Do the work on a new `threading.Thread` or, if that does not begin it, here."""
        try:
            threading.Thread(target=self.run, name=name, daemon=True).start()
            self._begun.acquire(timeout=_BEGINS_WITHIN)
        except Exception:  # no more threads, or a bug in a wrapper
            pass
        self.run()


def start_thread(work: Callable[[], None], name: str) -> bool:
    """Start a daemon thread; False if none can or should be started.

    `Thread.start` takes a lock of the `threading` module, which the code that we interrupt
    (in a signal handler or a finalizer) may hold, and waits for the new thread. So a low-level
    thread, which takes no lock, starts it for us.
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
    """Whether this is the uWSGI process that loads the application and then forks the workers.

    It forks without the GIL: if a thread of ours holds the GIL at that moment, the workers
    wait for it for ever.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return False
    try:
        return not (uwsgi.worker_id() or uwsgi.mule_id() or uwsgi.i_am_the_spooler())
    except Exception as error:  # another module of that name, another version
        reraise_of_signal_handler(error)
        return False


# ---- executors ----


def unjoined_executor(threads: int, name: str) -> ThreadPoolExecutor:
    """An executor for `submit_unjoined`."""
    executor: ThreadPoolExecutor = load("concurrent.futures", "ThreadPoolExecutor")(threads, name)
    return executor


def submit_unjoined(executor: ThreadPoolExecutor, work: Callable[[], Any]) -> None:
    """Submit to an executor whose threads don't delay the exit of the process.

    At interpreter exit `concurrent.futures` joins the threads of every executor before any
    `atexit` handler runs, so one stalled request would block the exit. Instead, the caller
    waits for the work itself, as long as its timeout allows.

    Raises:
        RuntimeError: no thread can be started.
    """
    if threading.current_thread().daemon:
        executor.submit(work)
    else:
        _submit_in_a_daemon(executor, work)
    # The table of threads to join has no public name; without it (another implementation)
    # they are joined, and an exit may take a request's timeout longer. A thread is added to it
    # after its start, so it can't remove itself.
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
