"""What the library raises. No message, and no attribute, ever holds an API key."""

from __future__ import annotations


class SenderError(Exception):
    """Anything that this library raises on purpose."""


class ConfigError(SenderError, ValueError):
    """A configuration that can't be meant; raised where it is given."""


class InvalidPayload(SenderError, ValueError):
    """A payload that is none on its face: empty, no JSON array or object, ..."""


class PayloadRejected(SenderError):
    """The endpoint answered, and the answer is no success.

    Attributes:
        status: the HTTP status.
        body: the answer's text, its first 4096 bytes.
        kind: ``"debugger"`` or ``"symdb"``.
    """

    def __init__(self, status: int, body: str, kind: str) -> None:
        super().__init__(f"the {kind} endpoint answered {status}: {body:.200}")
        self.status = status
        self.body = body
        self.kind = kind

    def __reduce__(self) -> tuple[type[PayloadRejected], tuple[int, str, str]]:
        return PayloadRejected, (self.status, self.body, self.kind)


class DeliveryError(SenderError):
    """No answer came: refused, reset, timed out, no such host, TLS."""


class EnqueueRejected(Exception):
    """A payload that can't be queued.

    Attributes:
        reason: as in ``Stats.dropped``.
        detail: for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
