"""Human-readable reasons why no response was received, without secrets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from .http1 import ProtocolError

TIMED_OUT = "timed out"
TLS_FAILED = "TLS failed"


class TLSFailed(OSError):
    """TLS with the peer failed. As for the exceptions below, the message is human-readable."""


class ProxyFailed(OSError):
    """The proxy can't be used, or refused the connection."""


class NoSuchHost(OSError):
    """The name has no address, or is not a valid name."""


def is_cut(error: BaseException) -> bool:
    """Whether the peer closed or reset the connection."""
    return isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError))


def reason(error: BaseException) -> str:
    """A human-readable reason, without the text of other exceptions, which may show headers."""
    if isinstance(error, TimeoutError):
        return TIMED_OUT
    if isinstance(error, (ProtocolError, ProxyFailed, TLSFailed)):
        return str(error)
    if isinstance(error, (NoSuchHost, socket.gaierror)):
        return "no such host"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return f"the connection failed: {type(error).__name__}"


def tls_failed(error: BaseException) -> TLSFailed:
    """A `TLSFailed` for an `ssl.SSLError`, with OpenSSL's reason, which holds no secrets."""
    # Recognized by its attributes, since `ssl` is not imported before it is needed.
    unverified = getattr(error, "verify_message", None)
    if unverified:
        return TLSFailed(f"{TLS_FAILED}: its certificate can't be verified: {unverified}")
    why = (getattr(error, "reason", None) or "no TLS").lower().replace("_", " ")
    return TLSFailed(f"{TLS_FAILED}: {why}")


def causes(error: BaseException) -> Iterable[BaseException]:
    """The exception and all that are wrapped in it."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo and len(found) < 20:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found
