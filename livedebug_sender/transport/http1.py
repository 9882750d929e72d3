"""A request and its answer on an open connection: what is written, how it is read.

As `http.client` does it, less what a sender needs none of: its reading of the answer's
headers, with the parser of e-mails, costs more than all the rest of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

#: Bytes of an answer's body that are read; more is not worth the connection.
MOST_HEARD = 64 * 1024
_MOST_LINE = 64 * 1024
_MOST_HEADERS = 100


@dataclass(frozen=True)
class Heard:
    """An answer, its body read as far as it is wanted."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request_head(method: str, url: str, headers: Mapping[str, str | bytes]) -> bytes:
    """The request up to its body; ValueError for headers that can't be."""
    lines = [f"{method} {url} HTTP/1.1".encode("ascii")]
    if "Accept-Encoding" not in headers:
        lines.append(b"Accept-Encoding: identity")
    for name, value in headers.items():
        encoded = value.encode("latin-1") if isinstance(value, str) else value
        lines.append(name.encode("ascii") + b": " + encoded)
    head = b"\r\n".join(lines)
    # Checked where they were given; what got through all the same goes nowhere.
    if not head.count(b"\r") == head.count(b"\n") == len(lines) - 1:
        raise ValueError("a line end in a header")
    return head + b"\r\n\r\n"


class LeanResponse(HTTPResponse):
    """Reads an answer with its headers as a plain dictionary, names in lower case."""

    def begin(self) -> None:
        while True:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            headers = self._read_headers()
            if not 100 <= status < 200:  # word in between, of which there may be any number
                break
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.plain_headers = headers
        self.headers = self.msg = headers  # type: ignore[assignment]
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = self._length_of_body(headers.get("content-length", ""))
        without_end = self.length is None and not self.chunked
        self.will_close = without_end or self._check_close()  # type: ignore[attr-defined]

    def read_beginning(self) -> bytes:
        """The body, or its beginning; what came of it, should there be a fault in it.

        With the status the server has said what it had to say: the rest is for people.
        """
        try:
            return self.read(MOST_HEARD)
        except (OSError, HTTPException, ValueError):
            self.will_close = True
            return b""

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = self.fp.readline(_MOST_LINE)
            if line in (b"\r\n", b"\n"):
                return headers
            if not line.endswith(b"\n"):
                raise HTTPException("a header that is too long")
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raise HTTPException("too many headers")

    def _length_of_body(self, told: str) -> int | None:
        if self.status in (204, 304):
            return 0
        return int(told) if told.isdecimal() and told.isascii() and not self.chunked else None
