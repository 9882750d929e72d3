"""The options of a sender, checked where they are given."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from .errors import ConfigError
from .transport.request_hook import AroundRequest

if TYPE_CHECKING:
    import requests

MiB = 1024 * 1024

#: Called as ``on_drop(track, reason, count)``.
OnDrop = Callable[[str, str, int], object]


@dataclass(frozen=True)
class Options:
    """Times in seconds, sizes in bytes; every bound is a positive number."""

    max_queue_items: int = 5000
    max_queue_bytes: int = 32 * MiB
    max_payload_bytes: int = MiB
    max_batch_items: int = 4096
    max_batch_bytes: int = 4 * MiB
    linger: float = 0.1
    retry_for: float = 300.0
    shutdown_timeout: float = 3.0
    recheck_after: float = 60.0
    oversize: str = "drop"
    on_drop: OnDrop | None = None
    session_factory: Callable[[], requests.Session] | None = None
    around_request: AroundRequest | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.startswith("max_"):
                _check_count(field.name, value)
            elif field.name == "oversize":
                if value not in ("drop", "prune"):
                    raise ConfigError(f"oversize is {value!r:.80}; 'drop' or 'prune' is wanted")
            elif field.name in ("on_drop", "session_factory", "around_request"):
                _check_callable(field.name, value)
            else:
                # No lingering and no retrying are meaningful; no time to shut down too.
                _check_seconds(field.name, value, zero=field.name != "recheck_after")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigError(f"{name} is {value!r}; a positive whole number is wanted")


def _check_seconds(name: str, value: object, *, zero: bool) -> None:
    wanted = "a finite number of seconds, " + ("0 or more" if zero else "more than 0")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name} is {value!r:.80}; {wanted} is wanted")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        finite = False
    if not finite or value < 0 or (value == 0 and not zero):
        raise ConfigError(f"{name} is {value!r:.80}; {wanted} is wanted")


def _check_callable(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise ConfigError(f"{name} is {value!r}; a callable or None is wanted")
