"""Parses ``Retry-After``: how long a server asks to wait."""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime

from ..runtime.host_signals import reraise_of_signal_handler


def parse_retry_after(value: str | None, now: float, date: str | None = None) -> float | None:
    """Seconds to wait according to a ``Retry-After`` header; None if it is missing or invalid.

    Args:
        value: seconds, or an HTTP date (RFC 9110, 10.2.3).
        now: the time in seconds since 1970, used if the response has no ``Date``.
        date: the response's ``Date``. A date in `value` is relative to it, since the local clock
            may be minutes off.
    """
    if value is None:  # as in nearly every response
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    until, since = _seconds_of(text), _seconds_of(date or "")
    if until is None:
        return None
    return max(0.0, until - (now if since is None else since))


def _seconds_of(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return date.timestamp()
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        reraise_of_signal_handler(error)
        return None
