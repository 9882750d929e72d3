"""The library's exceptions. None of their messages and attributes contains an API key."""

from __future__ import annotations

from typing import Literal

#: The kind of endpoint that a response is from.
Kind = Literal["debugger", "symdb"]


class SenderError(Exception):
    """The base class of all exceptions that this library raises."""


class ConfigError(SenderError, ValueError):
    """An invalid configuration; raised by the call that it was given to."""


class InvalidPayload(SenderError, ValueError):
    """Not a JSON object or array, or, for symdb, not bytes with a content type."""


class PayloadRejected(SenderError):
    """The endpoint answered, but not with a 2xx status.

    Attributes:
        status: the HTTP status.
        body: the first 4096 bytes of the response as text, with keys masked.
        kind: ``"debugger"`` or ``"symdb"``.
    """

    def __init__(self, status: int, body: str, kind: Kind) -> None:
        said = _in_one_line(body[:200])
        super().__init__(f"the {kind} endpoint answered {status}: {said}")
        self.status = status
        self.body = body
        self.kind: Kind = kind

    def __reduce__(self) -> tuple[type[PayloadRejected], tuple[int, str, Kind]]:
        return PayloadRejected, (self.status, self.body, self.kind)


class DeliveryError(SenderError):
    """No response was received: connection refused or reset, timeout, unknown host, TLS failure."""


class EnqueueRejected(Exception):
    """A payload was refused, and is not in the queue.

    Attributes:
        reason: as in ``Stats.dropped``.
        detail: human-readable.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail


def _in_one_line(text: str) -> str:
    """Escape line ends and control characters of untrusted text, for logs and terminals."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
