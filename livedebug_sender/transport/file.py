"""``file://`` endpoints: each request is appended as one line of JSON, with its key masked."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from ..protocol.body import Body
from ..protocol.request import Request
from ..runtime.broken_pipes import without_sigpipe
from ..runtime.clock import monotonic
from ..runtime.host_signals import reraise_of_signal_handler
from .deadline import RequestDeadline
from .response import NoResponse, Response

if sys.platform != "win32":
    import fcntl

_MASK = "***"
#: Seconds between two attempts to lock a file that another process has locked.
_LOCK_NAP = 0.005
# O_NONBLOCK: if the path is a FIFO, opening it must not wait for a reader.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_APPEND |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def write_record(request: Request, deadline: RequestDeadline) -> Response:
    """Append a request to its endpoint's file.

    Raises:
        NoResponse: the line could not be written completely; what was written is removed.
    """
    line = _line(request)
    path = unquote(urlsplit(request.endpoint.url).path)
    try:
        file = os.open(path, _APPEND, 0o666)
    except OSError as error:
        reraise_of_signal_handler(error)
        raise NoResponse(f"can't write to {path}: {error.strerror}") from None
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):
            whole = _append(file, path, line, request.endpoint.timeout, deadline)
        else:  # a terminal, a pipe
            whole = _write(file, line, deadline)
    except OSError as error:
        reraise_of_signal_handler(error)
        raise NoResponse(f"can't write to {path}: {error.strerror or error}") from None
    finally:
        os.close(file)
    if not whole:
        raise NoResponse(f"can't write all of a line to {path}; is its disk full?")
    return Response(200, None, b"", bytes_sent=len(request.body))


def _append(file: int, path: str, line: bytes, timeout: float, deadline: RequestDeadline) -> bool:
    """Append a line to a file that other processes may be appending to; False if incomplete.

    An incomplete line is removed again, under a lock. If the file can't be locked, or a crash
    left an incomplete line, the next record starts with a newline.
    """
    locked = _lock(file, timeout, deadline)
    before = os.fstat(file).st_size
    if not _ends_with_a_line(file, path, before):
        line = b"\n" + line
    whole = False
    try:
        # A single write in append mode: even without a lock, lines are not mixed.
        whole = _write(file, line, deadline)
    finally:
        if locked and not whole:
            os.ftruncate(file, before)
    return whole


def _write(file: int, line: bytes, deadline: RequestDeadline) -> bool:
    """Write it in one call; False if only a part was written."""
    # `close` may have returned while this waited for the lock.
    deadline.remaining(deadline.at)
    return without_sigpipe(os.write, file, line) == len(line)


def _ends_with_a_line(file: int, path: str, size: int) -> bool:
    if size == 0:
        return True
    try:
        # Opened again for reading: a write-only file could not be opened for both.
        with open(path, "rb", buffering=0) as reader:
            if not os.path.sameopenfile(reader.fileno(), file):
                return True  # another file has that name now
            reader.seek(size - 1)
            return reader.read(1) == b"\n"
    except OSError as error:
        reraise_of_signal_handler(error)
        return True


def _lock(file: int, timeout: float, deadline: RequestDeadline) -> bool:
    """Lock the file until it is closed; False if that takes too long."""
    if sys.platform == "win32":
        return False
    until = monotonic() + timeout
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            deadline.remaining(deadline.at)
            if monotonic() >= until:
                return False
            time.sleep(_LOCK_NAP)
        except OSError as error:  # a file system without locks
            reraise_of_signal_handler(error)
            return False
        else:
            return True


def _line(request: Request) -> bytes:
    body = b"".join(request.body) if isinstance(request.body, Body) else request.body
    headers = {
        name: value.decode("utf-8") if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    if "DD-API-KEY" in headers:
        headers["DD-API-KEY"] = _MASK
    record: dict[str, Any] = {"method": "POST", "path": request.path, "headers": headers}
    try:
        record["body"] = body.decode("utf-8")
    except UnicodeDecodeError:
        record["body_base64"] = base64.b64encode(body).decode("ascii")
    return json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n"
