"""``Retry-After``: how long a server asks to wait."""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime

from ..runtime.host_signals import reraise_of_signal_handler


def parse_retry_after(value: str | None, now: float, date: str | None = None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header; None if there is none that can be read.

    Args:
        value: seconds, or an HTTP date (RFC 9110, 10.2.3).
        now: the time, in seconds since 1970; used where the answer has no date.
        date: the answer's own ``Date``, which a date is compared with: our clock may be
            minutes off.
    """
    if value is None:  # as of nearly every answer: nothing is parsed for it
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
