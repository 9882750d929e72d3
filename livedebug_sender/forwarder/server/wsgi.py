"""Converts a request to WSGI variables, and the application's response to bytes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..replies import CutAnswer
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
    """The WSGI environ of a request."""
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
    """WSGI's `start_response`."""

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
) -> tuple[bytes, bool]:
    """The application's response, as bytes.

    Returns:
        Also whether to close the connection after it: if `last` is set, or the application
        truncated the body (`CutAnswer`).
    """
    started = _Started()
    pieces: Iterable[bytes] = app(environ, started)
    body = b""
    cut = False
    try:
        for piece in pieces:
            body = body + piece if body else piece
    except CutAnswer:
        cut = last = True
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    body = started.body.getvalue() + body
    return answer(started.status, started.headers, body, head, last=last, cut=cut), last


def answer(
    status: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    head: RequestHead,
    *,
    last: bool,
    cut: bool = False,
) -> bytes:
    """The bytes of a response; ValueError if they would not be a valid one.

    Args:
        last: close the connection after it.
        cut: the body is truncated, and the client must notice that.
    """
    lines = [f"{head.version} {status}", *[f"{name}: {value}" for name, value in headers]]
    given = {name.lower() for name, _ in headers}
    if "content-length" not in given and not status.startswith(_NO_BODY):
        if not cut:
            lines.append(f"Content-Length: {len(body)}")
        elif head.version == "HTTP/1.1":  # chunked, without the last chunk
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    if "date" not in given:
        lines.append(_date())
    if last:
        lines.append("Connection: close")
    elif head.version == "HTTP/1.0":
        lines.append("Connection: keep-alive")
    text = "\r\n".join(lines)
    if not text.count("\r") == text.count("\n") == len(lines) - 1:
        raise ValueError("a header of the answer has a line end in it")
    return text.encode("latin-1") + b"\r\n\r\n" + body


#: The current second, and its Date header.
_last_date = (0, "")


def _date() -> str:
    global _last_date
    second, line = _last_date
    now = int(time.time())
    if now != second:
        line = f"Date: {formatdate(now, usegmt=True)}"
        _last_date = (now, line)
    return line
