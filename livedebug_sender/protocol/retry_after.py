"""``Retry-After``: how long a server asks to be left alone."""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a ``Retry-After`` header; None if there is none that can be read.

    Args:
        value: seconds, or an HTTP date (RFC 9110, 10.2.3).
        now: the time, in seconds since 1970.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return max(0.0, date.timestamp() - now)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
