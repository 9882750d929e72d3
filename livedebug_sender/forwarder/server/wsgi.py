"""Between a request and the application: WSGI's variables one way, an answer's bytes back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .connection import IncomingRequest
from .http1 import RequestHead

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_NO_BODY = ("1", "204", "304")
_PROCESS: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "0",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def variables(request: IncomingRequest, peer: str) -> dict[str, Any]:
    """The environ of a request."""
    head = request.head
    return {
        **_PROCESS,
        **head.variables,
        "REQUEST_METHOD": head.method,
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
        "SERVER_PROTOCOL": head.version,
        "REMOTE_ADDR": peer,
        "CONTENT_LENGTH": str(request.size),
        "wsgi.input": request.body,
        "wsgi.errors": sys.stderr,
    }


class _Started:
    """What an application calls before it answers."""

    status = ""
    headers: list[tuple[str, str]]

    def __init__(self) -> None:
        self.body = BytesIO()

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        self.status = status
        self.headers = headers
        return self.body.write


def answer_of(
    app: WSGIApplication, environ: dict[str, Any], head: RequestHead, *, last: bool
) -> bytes:
    """What the application answers, in bytes."""
    started = _Started()
    pieces: Iterable[bytes] = app(environ, started)
    try:
        body = b"".join(pieces)
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    written = started.body.getvalue()
    return answer(
        started.status, started.headers, written + body if written else body, head, last=last
    )


def answer(
    status: str, headers: Sequence[tuple[str, str]], body: bytes, head: RequestHead, *, last: bool
) -> bytes:
    """The bytes of an answer; ValueError if they would not be one."""
    lines = [f"{head.version} {status}", *[f"{name}: {value}" for name, value in headers]]
    given = {name.lower() for name, _ in headers}
    if "content-length" not in given and not status.startswith(_NO_BODY):
        lines.append(f"Content-Length: {len(body)}")
    if "date" not in given:
        lines.append(_date())
    if last:
        lines.append("Connection: close")
    elif head.version == "HTTP/1.0":
        lines.append("Connection: keep-alive")
    text = "\r\n".join(lines)
    if not text.count("\r") == text.count("\n") == len(lines) - 1:
        raise ValueError("a line end in a header of the answer")
    return text.encode("latin-1") + b"\r\n\r\n" + body


#: The header of the second, and that second.
_last_date = (0, "")


def _date() -> str:
    global _last_date
    second, line = _last_date
    now = int(time.time())
    if now != second:
        line = f"Date: {formatdate(now, usegmt=True)}"
        _last_date = (now, line)
    return line
