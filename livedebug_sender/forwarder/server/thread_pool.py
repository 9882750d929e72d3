"""Threads, of which one is always free: not in a call that may block."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("livedebug_sender")


class ThreadPool:
    """It grows when its last free thread is about to block.

    Args:
        work: what each thread does, until it returns.
        max_threads: beyond them none is free while all block.
    """

    def __init__(self, work: Callable[[], None], max_threads: int) -> None:
        self._work = work
        self._max_threads = max_threads
        # Guards: everything below.
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._free = 0
        self._stopped = False

    def start(self) -> None:
        with self._lock:
            self._add()

    def block(self) -> None:
        """A thread is about to block; call `unblock` afterwards."""
        with self._lock:
            self._free -= 1
            self._keep_one_free()

    def unblock(self) -> None:
        with self._lock:
            self._free += 1

    def try_leave(self) -> bool:
        """Leave if another thread is free; True: the calling thread must now return."""
        with self._lock:
            if self._free <= 1:
                return False
            self._free -= 1
            self._threads.remove(threading.current_thread())
            return True

    def stop(self) -> None:
        """Start no more threads."""
        with self._lock:
            self._stopped = True

    def join(self, until: float) -> bool:
        """Wait for the threads (`time.monotonic`); False if some do not end."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # ours, or no memory: another one takes its place
            logger.error("a thread ended: %s", type(error).__name__)
            with self._lock:
                self._free -= 1
                self._threads.remove(threading.current_thread())
                self._keep_one_free()

    def _keep_one_free(self) -> None:
        """The lock is held."""
        if self._free or len(self._threads) >= self._max_threads or self._stopped:
            return
        try:
            self._add()
        except RuntimeError:  # a system limit: continue with the existing threads
            logger.warning("no further thread can be started")

    def _add(self) -> None:
        thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        thread.start()
        self._threads.append(thread)
        self._free += 1
