"""Parses HTTP/1.1 requests, without I/O or a clock.

`parse_head` parses the head of a request, the body classes the rest. They refuse anything that
two servers in a row could parse as different requests (request smuggling), and anything
unbounded, with a `RequestError` that has the status of the response. (RFC 9112; where that
leaves a choice, the stricter one.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from urllib.parse import unquote_to_bytes

from ..settings import MAX_HEAD

#: Bytes allocated for a body at first; more is allocated as the body arrives.
FIRST_ALLOCATION = 256 * 1024
#: Maximum bytes of a line with the size of a chunk.
MAX_CHUNK_LINE = 4096
_MAX_DIGITS = 18

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Limited in length, since names are cached.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}"
_HEAD = re.compile(
    rf"(?P<method>{_TOKEN}) (?P<target>[!-~\x80-\xff]+) HTTP/1\.(?P<minor>[0-9])\r\n"
    rf"(?P<fields>(?:{_NAME}:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n"
)
_OTHER_VERSION = re.compile(rf"{_TOKEN} [!-~]+ HTTP/[2-9]\.[0-9]\r\n")
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_HEX = re.compile(rb"[0-9A-Fa-f]{1,16}\Z")


class RequestError(Exception):
    """A request that is refused before the application sees it; its connection is closed."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass
class RequestHead:
    """The head of a request.

    Attributes:
        path: percent-decoded, one character for each byte.
        variables: the headers as WSGI variables, without those of the framing.
        content_length: None for a chunked body.
        keep_alive: whether another request may follow.
        awaits_continue: the client sends the body only after a 100 Continue.
    """

    method: str
    path: str
    query: str
    version: str
    variables: dict[str, str]
    content_length: int | None
    keep_alive: bool
    awaits_continue: bool


def parse_head(head: bytes) -> RequestHead:
    """Parse a head, which ends with its empty line.

    Raises:
        RequestError: 400 if it is ambiguous or malformed; 417, 501, 505.
    """
    text = head.decode("latin-1")
    match = _HEAD.fullmatch(text)
    if match is None:
        if _OTHER_VERSION.match(text):
            raise RequestError(505, "only HTTP/1.1 is supported")
        raise RequestError(400, "the request can't be read")
    method, target, minor, fields = match.groups()
    variables = _variables(fields, minor)
    authority = _AUTHORITY.match(target)
    if authority:  # as sent to a proxy; it overrides Host, but not where the request is sent
        target = target[authority.end() :] or "/"
        variables["HTTP_HOST"] = authority[0].partition("//")[2]
    path, query = _split_target(target)
    connection = variables.get("HTTP_CONNECTION", "").lower()
    expects = variables.pop("HTTP_EXPECT", "").lower()
    if expects not in ("", "100-continue"):
        raise RequestError(417, "the only supported Expect is 100-continue")
    return RequestHead(
        method,
        path,
        query,
        "HTTP/1.0" if minor == "0" else "HTTP/1.1",
        variables,
        _content_length(variables, minor),
        "keep-alive" in connection if minor == "0" else "close" not in connection,
        bool(expects) and minor != "0",
    )


def _variables(fields: str, minor: str) -> dict[str, str]:
    variables: dict[str, str] = {}
    for line in fields.split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        key = variable_of(name)
        value = value.strip(" \t")
        if key not in variables:
            variables[key] = value
        elif key in ("CONTENT_LENGTH", "HTTP_HOST"):
            raise RequestError(400, "Content-Length or Host more than once")
        elif key == "HTTP_TRANSFER_ENCODING":
            raise RequestError(501, "Transfer-Encoding more than once")
        else:
            variables[key] += f", {value}"
    # A name with an underscore would be mistaken for the one with a hyphen.
    variables.pop("", None)
    if minor != "0" and "HTTP_HOST" not in variables:
        raise RequestError(400, "no Host")
    return variables


@lru_cache(maxsize=1024)
def variable_of(name: str) -> str:
    """The WSGI variable of a header; "" if the name is not safe to convert."""
    if "_" in name:
        return ""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"


def _split_target(target: str) -> tuple[str, str]:
    path, _, query = target.partition("?")
    if "%" in path and "%2f" not in path.lower():  # an escaped slash is not a separator
        path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    return path, query


def _content_length(variables: dict[str, str], minor: str) -> int | None:
    coding = variables.pop("HTTP_TRANSFER_ENCODING", None)
    length = variables.get("CONTENT_LENGTH")
    if coding is None:
        if length is None:
            return 0
        if not (length.isascii() and length.isdigit()):
            raise RequestError(400, "the Content-Length is not a number")
        if len(length) > _MAX_DIGITS:
            raise RequestError(400, "the Content-Length has too many digits")
        return int(length)
    if length is not None:
        raise RequestError(400, "Transfer-Encoding and Content-Length in one request")
    if minor == "0":
        raise RequestError(400, "Transfer-Encoding needs HTTP/1.1")
    if coding.lower() != "chunked":
        raise RequestError(501, "the only supported Transfer-Encoding is chunked")
    return None


#: Called before that many more bytes are allocated for a body; raises if there is no room.
Reserve = Callable[[int], None]


class SizedBody:
    """A body with a Content-Length.

    It is received into its final buffer: `BytesIO.read` returns all of it without a copy.
    Memory is allocated as the body arrives, not for a Content-Length alone.

    Attributes:
        received: bytes received so far.
    """

    def __init__(self, size: int, beginning: bytes, reserve: Reserve) -> None:
        self._size = size
        self._reserve = reserve
        self.received = len(beginning)
        self._allocated = len(beginning)
        self._reserved = 0
        self.body = BytesIO(beginning)

    @property
    def done(self) -> bool:
        return self.received == self._size

    def room(self) -> memoryview:
        """The memory to receive the next bytes into; release it before `advance`."""
        if self.received == self._allocated:
            allocated = min(self._size, max(FIRST_ALLOCATION, 2 * self._allocated))
            self._reserve(allocated - self._reserved)
            self._reserved = allocated
            if self._allocated < FIRST_ALLOCATION:
                beginning = self.body.getvalue()
                self.body = BytesIO(bytes(allocated))
                self.body.write(beginning)
            else:
                self.body.seek(allocated - 1)
                self.body.write(b"\0")
            self.body.seek(0)
            self._allocated = allocated
        return self.body.getbuffer()[self.received :]

    def advance(self, count: int) -> None:
        """Note that `count` bytes were received."""
        self.received += count


class ChunkedBody:
    """A chunked body; its trailer is discarded.

    Args:
        limit: maximum bytes, including the size lines between the chunks.
    """

    def __init__(self, limit: int, reserve: Reserve) -> None:
        self._limit = limit
        self._reserve = reserve
        self._pending = b""
        self._left = 0
        self._trailer = 0
        self._taken = 0
        # Parses bytes from a position on; returns how many, 0 if more bytes are needed.
        self._take: Callable[[bytes, int], int] = self._size_line
        self.body = BytesIO()
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """Parse bytes; returns those that belong to the next request."""
        data = self._pending + data
        at = 0
        while not self.done and at < len(data) and (taken := self._take(data, at)):
            at += taken
        self._taken += at
        if self._taken > self._limit:
            raise self._too_large()
        if not self.done:
            self._pending = data[at:]
            return b""
        self.body.seek(0)
        return data[at:]

    def _size_line(self, data: bytes, at: int) -> int:
        end = self._line_end(data, at, MAX_CHUNK_LINE)
        if end < 0:
            return 0
        size = data[at:end].partition(b";")[0].rstrip(b" \t")
        if not _HEX.match(size):
            raise RequestError(400, "the size of a chunk is not a number")
        self._left = int(size, 16)
        if self._left > self._limit:
            raise self._too_large()
        self._take = self._data if self._left else self._trailer_line
        return end + 2 - at

    def _data(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        self._reserve(len(piece))
        self.body.write(piece)
        self._left -= len(piece)
        if not self._left:
            self._take = self._data_end
        return len(piece)

    def _data_end(self, data: bytes, at: int) -> int:
        if len(data) - at < 2:
            return 0
        if data[at : at + 2] != b"\r\n":
            raise RequestError(400, "a chunk is longer than its size")
        self._take = self._size_line
        return 2

    def _trailer_line(self, data: bytes, at: int) -> int:
        end = self._line_end(data, at, MAX_HEAD)
        if end < 0:
            return 0
        self._trailer += end + 2 - at
        if self._trailer > MAX_HEAD:
            raise RequestError(400, "the trailer is too long")
        self.done = end == at
        return end + 2 - at

    def _line_end(self, data: bytes, at: int, limit: int) -> int:
        end = data.find(b"\r\n", at)
        if (end if end >= 0 else len(data)) - at > limit:
            raise RequestError(400, "a line of a chunk is too long")
        if end >= 0 and (b"\n" in data[at:end] or b"\r" in data[at:end]):
            raise RequestError(400, "a line of a chunk has a bare CR or LF")
        return end

    def _too_large(self) -> RequestError:
        return RequestError(413, f"the body has more than {self._limit} bytes")
