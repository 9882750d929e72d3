"""The options of a sender: defaults, and checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

from .errors import ConfigError
from .protocol.tracks import Track
from .units import MiB, parse_count, parse_seconds, parse_size

if TYPE_CHECKING:
    import requests

    from .transport.request_hook import AroundRequest

#: Called as ``on_drop(track, reason, count)``. The track is a `Track`, or for an unknown track
#: the string that `enqueue` was given; a callback may be annotated for either.
OnDrop = Callable[[str, str, int], object] | Callable[[Track, str, int], object]
#: What to do with a snapshot that is too large.
Oversize = Literal["drop", "prune"]


class Options:
    """The options of a sender, checked; as attributes of the class, their defaults.

    Times in seconds and sizes in bytes; strings with a unit are parsed (see `units`).
    """

    max_queue_items: int = 5000
    max_queue_bytes: int = 32 * MiB
    max_payload_bytes: int = MiB
    max_batch_items: int = 4096
    max_batch_bytes: int = 4 * MiB
    linger: float = 0.1
    retry_for: float = 300.0
    shutdown_timeout: float = 3.0
    recheck_after: float = 60.0
    oversize: Oversize = "drop"
    on_drop: OnDrop | None = None
    session_factory: Callable[[], requests.Session] | None = None
    around_request: AroundRequest | None = None

    # Not a dataclass: creating one takes 4 % of the package's import time.
    def __init__(self, **given: Any) -> None:
        for name, value in given.items():
            setattr(self, name, _PARSERS[name](name, value))


def _zero_or_more_seconds(name: str, value: object) -> float:
    return parse_seconds(name, value, zero=True)


def _oversize(name: str, value: object) -> object:
    if value not in get_args(Oversize):
        raise ConfigError(f"{name} is {value!r:.80}; expected: 'drop' or 'prune'")
    return value


def _callable(name: str, value: object) -> object:
    if value is not None and not callable(value):
        raise ConfigError(f"{name} is {value!r:.80}; expected: a callable or None")
    return value


_PARSERS: dict[str, Callable[[str, object], object]] = {
    "max_queue_items": parse_count,
    "max_queue_bytes": parse_size,
    "max_payload_bytes": parse_size,
    "max_batch_items": parse_count,
    "max_batch_bytes": parse_size,
    # 0 is valid for these: no lingering, no retries, no time to shut down.
    "linger": _zero_or_more_seconds,
    "retry_for": _zero_or_more_seconds,
    "shutdown_timeout": _zero_or_more_seconds,
    "recheck_after": parse_seconds,
    "oversize": _oversize,
    "on_drop": _callable,
    "session_factory": _callable,
    "around_request": _callable,
}
