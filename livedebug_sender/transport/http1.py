"""HTTP/1.1 without I/O: formats the head of a request, and parses responses.

Sockets and time limits are in `connections.py`.

h11 does the same and more, and takes 85 µs for a small request and its response on a reused
connection; this takes 12 µs, of the 75 µs that a whole request costs. Requirements:

- parse responses from slow, broken or hostile peers: with limits on head, lines, chunks
  and body, however the bytes are split;
- return the header lines as they were received, for a forwarder to pass on;
- detect a response while the request is still being written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

#: Limits of a response, except for its body: bytes of the head (and of all trailers), header
#: lines, bytes of a line between chunks, informational responses (1xx) before the final one.
MAX_HEAD = 64 * 1024
MAX_HEADERS = 100
MAX_CHUNK_LINE = 4096
MAX_INFORMATIONAL = 100

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_STATUS_LINE = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: [^\r\n\0]*)?\r?\n")
_HEADER_LINES = re.compile(rf"(?m)^({_TOKEN}):([^\r\n\0]*)\r?\n")
_HEADER_LINE = re.compile(rf"({_TOKEN}):([^\r\n\0]*)")
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")
_BEGINNING = b"HTTP/1."
_FRAMING = frozenset(("content-length", "transfer-encoding", "connection"))

HeaderLines = Sequence[tuple[str, str]]


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1, or exceeds a bound; the message says which."""


class IncompleteResponse(ProtocolError):
    """The connection ended before the response was complete."""


class RawResponse(NamedTuple):
    """A complete, undecoded response.

    Attributes:
        headers: names and values in their original order, one character for each byte.
        body: without its transfer coding (chunks), with its content coding (gzip, ...).
    """

    status: int
    headers: HeaderLines
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the first header of that name (in lower case)."""
        for found, value in self.headers:
            if found.lower() == name:
                return value
        return None


def request_head(method: str, target: str, host: str, headers: Mapping[str, str | bytes]) -> bytes:
    """The head of a request.

    Raises:
        ValueError: a value can't be part of a head. Values are checked where they are given;
            this is a second check.
    """
    lines = [f"{method} {target} HTTP/1.1\r\n"]
    if "Accept-Encoding" not in headers:
        lines.append("Accept-Encoding: identity\r\n")
    lines.append(f"Host: {host}\r\n")
    for name, value in headers.items():
        text = value if isinstance(value, str) else value.decode("latin-1")
        lines.append(f"{name}: {text}\r\n")
    text = "".join(lines)
    if not text.count("\r") == text.count("\n") == len(lines):
        raise ValueError("a header has a line end in it")
    return f"{text}\r\n".encode("latin-1")


class ResponseReader:
    """Parses one response: feed it bytes as they arrive, until it is `complete`.

    Args:
        max_body: bytes of the body that are kept; reading stops after that.
        head_only: the response has no body, whatever its headers say (HEAD, CONNECT).

    Attributes:
        status: of the final response, once its head is complete; None before.
        complete: nothing more is expected or needed.
        oversized: the body had more than `max_body` bytes, and is truncated.
        reusable: once complete, whether the connection can be used for another request.
        surplus: bytes arrived after the end of the response.
        started: whether any byte has arrived.
    """

    def __init__(self, max_body: int, *, head_only: bool = False) -> None:
        self.status: int | None = None
        self.complete = False
        self.oversized = False
        self.reusable = False
        self.surplus = False
        self.started = False
        self._headers: HeaderLines = ()
        self._body = BytesIO()  # a list of tiny pieces would take many times their size
        self._room = max_body
        self._head_only = head_only
        self._informational = 0
        # The current state of the parser. It is called with all available bytes, returns those
        # that belong to the next state, and keeps those that it can't parse without more. A
        # function, since a bound method would make each response a reference cycle.
        self._read = ResponseReader._read_head
        self._held = b""
        self._searched = 0  # bytes of the head already searched for its end
        self._left = 0  # bytes of the body or chunk that are still missing
        self._overhead = 0  # bytes of trailers and chunk lines so far

    def feed(self, data: bytes) -> bool:
        """Parse the next bytes, empty at the end of the connection; returns `complete`.

        Raises:
            ProtocolError: `status` is set nevertheless if it could be parsed.
        """
        if not data:
            self._end()
            return True
        self.started = True
        if self._held:
            data, self._held = self._held + data, b""
        while data and not self.complete:
            data = self._read(self, data)
        if data:
            self.surplus = True
            self.reusable = False
        return self.complete

    def response(self) -> RawResponse:
        """The response, or the part received so far if that includes the status."""
        if self.status is None:
            raise IncompleteResponse("there is no answer yet")
        return RawResponse(self.status, self._headers, self._body.getvalue())

    def partial(self) -> RawResponse | None:
        """The received part of a truncated response; None if its head is incomplete."""
        if self.status is None or self._read == ResponseReader._read_head:
            return None
        return self.response()

    def _end(self) -> None:
        if not self.started:
            raise IncompleteResponse("the connection was closed before an answer came")
        if self._read != ResponseReader._read_until_end:
            self.reusable = False
            raise IncompleteResponse("the connection was closed in the middle of the answer")
        self.complete = True

    # ---- the head ----

    def _read_head(self, data: bytes) -> bytes:
        end = _HEAD_END.search(data, self._searched, MAX_HEAD)
        if end is None:
            self._searched = max(0, len(data) - 2)  # its end may be incomplete
            if not data.startswith(_BEGINNING[: len(data)]):
                raise ProtocolError("the answer is not HTTP/1.1")
            if len(data) >= MAX_HEAD:
                raise ProtocolError(f"the head of the answer has more than {MAX_HEAD} bytes")
            self._held = data
            return b""
        self._searched = 0
        text = data[: end.start() + 1].decode("latin-1")
        line = _STATUS_LINE.match(text)
        if line is None:
            raise ProtocolError("the answer is not HTTP/1.1")
        status = int(line[2])
        if status < 200:
            self._note_informational(status)
        else:
            self.status = status
            self._headers = headers = _header_lines(text, line.end())
            self._choose_framing(headers, http10=line[1] == "0")
        return data[end.end() :]

    def _note_informational(self, status: int) -> None:
        self._informational += 1
        if status == 101:
            raise ProtocolError("the server switches protocols without being asked to")
        if self._informational > MAX_INFORMATIONAL:
            raise ProtocolError(f"more than {MAX_INFORMATIONAL} informational answers")

    def _choose_framing(self, headers: HeaderLines, *, http10: bool) -> None:
        """How the body ends (RFC 9112, 6.3), and whether the connection persists (9.3)."""
        found: dict[str, list[str]] = {}
        for name, value in headers:
            name = name.lower()
            if name in _FRAMING:
                found.setdefault(name, []).append(value)
        lengths = found.get("content-length")
        codings = ",".join(found.get("transfer-encoding", ())).lower()
        options = found.get("connection")
        keeps = not http10 if options is None else _keeps(options, http10=http10)
        if self._head_only or self.status in (204, 304):
            self.complete = True
            self.reusable = keeps
        elif codings and codings.rpartition(",")[2].strip() == "chunked":
            # A Content-Length beside it is an attack or an error: don't reuse the connection.
            self.reusable = keeps and not lengths and not http10
            self._read = ResponseReader._read_chunk_size
        elif codings or not lengths:
            self._read = ResponseReader._read_until_end
        else:
            self._left = _content_length(lengths)
            self.reusable = keeps
            self.complete = self._left == 0
            self._read = ResponseReader._read_sized

    # ---- the body ----

    def _read_sized(self, data: bytes) -> bytes:
        rest = self._take(data)
        self.complete = self.complete or self._left == 0
        return rest

    def _read_until_end(self, data: bytes) -> bytes:
        self._keep(data)
        return b""

    def _take(self, data: bytes) -> bytes:
        """Keep the bytes of the body or chunk; returns the rest."""
        size = min(len(data), self._left)
        self._left -= size
        if size == len(data):
            self._keep(data)
            return b""
        self._keep(data[:size])
        return data[size:]

    def _keep(self, piece: bytes) -> None:
        if len(piece) > self._room:
            piece = piece[: self._room]
            self.oversized = self.complete = True
            self.reusable = False
        self._room -= len(piece)
        self._body.write(piece)

    # ---- chunks (RFC 9112, 7.1) ----

    def _read_chunk_size(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        if line:
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise ProtocolError("the size of a chunk of the answer can't be read")
            self._left = int(size[1], 16)
            self._read = ResponseReader._read_chunk if self._left else ResponseReader._read_trailers
        return rest

    def _read_chunk(self, data: bytes) -> bytes:
        rest = self._take(data)
        if not self._left:
            self._read = ResponseReader._read_chunk_end
            self._overhead -= 16  # the line of a chunk with data is not overhead
        return rest

    def _read_chunk_end(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        if line:
            if line not in (b"\r\n", b"\n"):
                raise ProtocolError("a chunk of the answer is longer than its size")
            self._read = ResponseReader._read_chunk_size
        return rest

    def _read_trailers(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        self.complete = line in (b"\r\n", b"\n")
        return rest

    def _line(self, data: bytes) -> tuple[bytes, bytes]:
        """A line with its line end, and the rest; both empty if the line is incomplete."""
        end = data.find(b"\n") + 1
        size = end or len(data)
        if size > MAX_CHUNK_LINE or self._overhead + size > MAX_HEAD:
            raise ProtocolError("the lines between the answer's chunks are too long")
        if not end:
            self._held = data
            return b"", b""
        self._overhead += size
        return data[:end], data[end:]


def _header_lines(text: str, start: int) -> HeaderLines:
    """The header lines of a head, from `start` on."""
    count = text.count("\n", start)
    if count > MAX_HEADERS:
        raise ProtocolError(f"the answer has more than {MAX_HEADERS} header lines")
    found: list[tuple[str, str]] = _HEADER_LINES.findall(text, start)
    if len(found) != count:
        found = _folded_header_lines(text[start:])
    return [(name, value.strip(" \t")) for name, value in found]


def _folded_header_lines(text: str) -> list[tuple[str, str]]:
    """The same with folded lines (RFC 9112, 5.2), or none."""
    found: list[tuple[str, str]] = []
    for line in text.removesuffix("\n").split("\n"):
        line = line.removesuffix("\r")
        if line[:1] in (" ", "\t") and found and "\r" not in line and "\0" not in line:
            name, value = found.pop()
            found.append((name, f"{value.rstrip()} {line.strip()}"))
            continue
        header = _HEADER_LINE.fullmatch(line)
        if header is None:
            raise ProtocolError("a header line of the answer can't be read")
        found.append((header[1], header[2]))
    return found


def _keeps(values: list[str], *, http10: bool) -> bool:
    """Whether the connection persists, by its ``Connection`` headers (RFC 9112, 9.3)."""
    options = [option.strip() for option in ",".join(values).lower().split(",")]
    return "keep-alive" in options if http10 else "close" not in options


def _content_length(values: list[str]) -> int:
    """The length, which may be given several times if it is the same."""
    if len(values) == 1 and _LENGTH.match(values[0]):
        return int(values[0])
    told = {value.strip() for line in values for value in line.split(",")}
    length = told.pop()
    if told or not _LENGTH.match(length):
        raise ProtocolError("the length of the answer can't be read")
    return int(length)
