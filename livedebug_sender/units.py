"""Parses sizes, times and counts: ``64MiB``, ``200ms``, ``5000``.

The same everywhere: for options of a sender or an endpoint, environment variables, the
forwarder's settings, the command line.

========  =====================================================  ===================
what      units                                                  a plain number is
========  =====================================================  ===================
a size    ``B``, ``kB MB GB`` (1000), ``KiB MiB GiB`` (1024)      bytes
a time    ``ms``, ``s``, ``m``, ``h``, ``d``                      seconds
a count   none                                                   the count
========  =====================================================  ===================

A unit may follow a decimal fraction (``1.5GiB``, ``0.5s``) and one space (``64 MiB``).
Sizes are case-insensitive (there are no bits), times are case-sensitive, and a size must be a
whole number of bytes. ``64M`` is refused, since it could mean 64 MB or 64 MiB.
"""

from __future__ import annotations

import math
import re
from typing import TypeGuard

from .errors import ConfigError

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB

_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": KiB,
    "mib": MiB,
    "gib": GiB,
}
#: In milliseconds.
_TIME_UNITS = {"": 1000, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# Limited in length, since parsing long strings of digits is slow. Not compiled here, since most
# senders are given plain numbers.
_QUANTITY = r"([0-9]{1,18})(?:\.([0-9]{1,9}))? ?([A-Za-z]{0,3})"
_COUNT = r"[0-9]{1,18}"


def parse_size(what: str, value: object) -> int:
    """Parse a size to bytes, 1 or more.

    Args:
        what: what it is the size of, for the message: ``"max_queue_bytes"``.
        value: an ``int``, or a ``str`` such as ``"4096"`` or ``"64MiB"``.

    Raises:
        ConfigError: the message says what was given and what is expected.
    """
    size: object = value
    if isinstance(value, str):
        amount, per_byte = _quantity(value.strip().lower(), _SIZE_UNITS)
        size = 0 if amount % per_byte else amount // per_byte
    if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
        raise ConfigError(
            f"{what} is {_shown(value)}; expected: a size of 1 byte or more, in bytes or with "
            "a unit, such as 4096, 512KiB, 64MiB or 1.5GB"
        )
    return size


def parse_seconds(what: str, value: object, *, zero: bool = False) -> float:
    """Parse a time to seconds.

    Args:
        what: what takes that long, for the message: ``"linger"``.
        value: a number, or a ``str`` such as ``"0.5"``, ``"200ms"`` or ``"12h"``.
        zero: whether 0 is allowed.

    Raises:
        ConfigError: the message says what was given and what is expected.
    """
    seconds: object = value
    if isinstance(value, str):
        amount, per_millisecond = _quantity(value.strip(), _TIME_UNITS)
        seconds = amount / (per_millisecond * 1000)
    if not _is_time(seconds, zero=zero):
        bound = "0 or more" if zero else "more than 0"
        raise ConfigError(
            f"{what} is {_shown(value)}; expected: a time of {bound}, in seconds or with a "
            "unit, such as 0.5, 200ms, 3s, 5m or 12h"
        )
    return seconds


def parse_count(what: str, value: object) -> int:
    """Parse a count, 1 or more, from an ``int`` or digits; `ConfigError` for anything else."""
    count: object = value
    if isinstance(value, str) and re.fullmatch(_COUNT, value.strip()):
        count = int(value)
    if isinstance(count, bool) or not isinstance(count, int) or count <= 0:
        raise ConfigError(f"{what} is {_shown(value)}; expected: a whole number of 1 or more")
    return count


def _quantity(text: str, units: dict[str, int]) -> tuple[int, int]:
    """The amount of the smallest unit, as a fraction; negative if the text is invalid."""
    found = re.fullmatch(_QUANTITY, text)
    if found is None or found[3] not in units:
        return -1, 1
    places = found[2] or ""
    return int(found[1] + places) * units[found[3]], 10 ** len(places)


def _is_time(seconds: object, *, zero: bool) -> TypeGuard[float]:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return False
    try:
        finite = math.isfinite(seconds)
    except OverflowError:  # an integer too large for a float
        return False
    return finite and (seconds > 0 or (zero and seconds == 0))


def _shown(value: object) -> str:
    """A value for a message; some have no repr, or one that would be too long."""
    if isinstance(value, (str, float, type(None), bool)):
        return f"{value!r:.80}"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 256 else "an int of more than 77 digits"
    return f"a {type(value).__name__}"
