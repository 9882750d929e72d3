"""The responses to the tracer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

Lines = list[tuple[str, str]]

_NO_BODY = (204, 304)
_STATUS_LINES = {int(status): f"{int(status)} {status.phrase}" for status in HTTPStatus}


class CutAnswer(Exception):
    """Raised after the body of a truncated response: the connection must be closed."""


@dataclass
class Reply:
    """A response.

    Attributes:
        from_intake: it is the intake's, not the forwarder's.
        cut: the intake's body was truncated, and the tracer must notice that.
    """

    status: int
    headers: Lines = field(default_factory=list)
    body: bytes = b""
    from_intake: bool = False
    cut: bool = False

    @property
    def status_line(self) -> str:
        return _STATUS_LINES.get(self.status) or f"{self.status} Unknown"

    @property
    def lines(self) -> Lines:
        """The headers, with the length of the body; for a truncated one the original length."""
        if self.cut or self.status in _NO_BODY:
            return self.headers
        return [*self.headers, ("Content-Length", str(len(self.body)))]

    @property
    def pieces(self) -> Iterator[bytes]:
        """The body, as a WSGI application returns it."""
        yield self.body
        if self.cut:
            raise CutAnswer("the intake's response was truncated")


class HTTPError(Exception):
    """A refused request. The message is for the tracer's author; "": the response has no body."""

    def __init__(self, status: int, words: str, *headers: tuple[str, str]) -> None:
        super().__init__(words)
        self.status = status
        self.headers = headers

    @property
    def reply(self) -> Reply:
        if not str(self):
            return Reply(self.status, [*self.headers])
        return in_json({"error": str(self)}, self.status, *self.headers)


def in_json(content: object, status: int = 200, *headers: tuple[str, str]) -> Reply:
    body = json.dumps(content).encode() + b"\n"
    return Reply(status, [("Content-Type", "application/json"), *headers], body)
