"""Resolves a name on a native thread of glibc (`getaddrinfo_a`), if Python can start no thread.

This is the case at interpreter shutdown, and in subinterpreters with a GIL of their own. `Resolver`
uses only its completion, and gets the addresses by another look-up.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from ..runtime.threads import uwsgi_is_to_fork

_EAI_INPROGRESS = -100
_GAI_NOWAIT = 1

#: In a forked child glibc would wait for the parent's thread.
_PROCESS = os.getpid()


class _Request(ctypes.Structure):
    """``struct gaicb`` of <netdb.h>."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("service", ctypes.c_void_p),
        ("hints", ctypes.c_void_p),
        ("result", ctypes.c_void_p),
        ("status", ctypes.c_int),
        ("reserved", ctypes.c_int * 5),
    )


class _Duration(ctypes.Structure):
    """``struct timespec``."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class GlibcLookUp:
    """One look-up; for use by a single thread.

    Raises:
        OSError: it can't be started (another C library, a thread limit).
        UnicodeError: not a valid host name.
    """

    def __init__(self, host: str) -> None:
        if sys.platform != "linux" or os.getpid() != _PROCESS or uwsgi_is_to_fork():
            raise OSError("glibc can't be used in this process")
        name = host.encode("idna")
        self._libc = ctypes.CDLL(None)
        # Before glibc 2.34 it is in a separate library.
        has_all = hasattr(self._libc, "getaddrinfo_a")
        self._library: Any = self._libc if has_all else ctypes.CDLL("libanl.so.1")
        # Not Python's memory: glibc's thread may still write to it after the interpreter has ended.
        memory = self._allocated(ctypes.sizeof(_Request))
        self._request = _Request.from_address(memory)
        self._request.name = self._allocated(len(name) + 1)
        ctypes.memmove(self._request.name, name, len(name))
        self._requests = (ctypes.c_void_p * 1)(memory)
        self._is_complete = False
        if self._library.getaddrinfo_a(_GAI_NOWAIT, self._requests, 1, None):
            self._free()
            raise OSError("the look-up of a name can't be started")

    def wait(self, seconds: float) -> bool:
        """Wait for at most that long, or less; True if it is complete."""
        if self._is_under_way():
            whole = int(seconds)
            limit = _Duration(whole, int((seconds - whole) * 1e9))
            self._library.gai_suspend(self._requests, 1, ctypes.byref(limit))
        if not self._is_complete and not self._is_under_way():
            if self._request.result:
                self._libc.freeaddrinfo(ctypes.c_void_p(self._request.result))
            self._free()
        return self._is_complete

    def _is_under_way(self) -> bool:
        if self._is_complete:
            return False
        return bool(self._library.gai_error(ctypes.byref(self._request)) == _EAI_INPROGRESS)

    def _allocated(self, size: int) -> int:
        self._libc.calloc.restype = ctypes.c_void_p
        memory: int | None = self._libc.calloc(ctypes.c_size_t(1), ctypes.c_size_t(size))
        if memory is None:
            raise OSError("no memory for the look-up of a name")
        return memory

    def _free(self) -> None:
        self._is_complete = True
        self._libc.free(ctypes.c_void_p(self._request.name))
        self._libc.free(ctypes.c_void_p(self._requests[0]))
