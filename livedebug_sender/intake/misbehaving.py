"""Answers to try a client's nerves: so many refused, every one late."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_DELAY = re.compile(r"(\d+(?:\.\d+)?)(ms|s)\Z")
_UNITS = {"ms": 0.001, "s": 1.0}
#: Seconds; longer than any client waits.
_LONGEST = 600.0


@dataclass(frozen=True)
class Failure:
    """A status, and the share of the requests (more than 0, up to 1) that get it."""

    status: int
    share: float


@dataclass(frozen=True)
class Misbehaviour:
    """What goes wrong on purpose; nothing, as it is made."""

    failures: tuple[Failure, ...] = ()
    #: Seconds before each answer.
    delay: float = 0.0

    def status(self, draw: Callable[[], float] = random.random) -> int | None:
        """The status that the next request is refused with; None: it is taken."""
        drawn = draw()
        for failure in self.failures:
            if drawn < failure.share:
                return failure.status
            drawn -= failure.share
        return None


def parse_misbehaviour(failures: Sequence[str] = (), delay: str = "0s") -> Misbehaviour:
    """Of ``("503:0.2", "429:0.1")`` and ``"200ms"``.

    Raises:
        ValueError: says what was given and what is wanted.
    """
    parsed = tuple(parse_failure(text) for text in failures)
    if sum(failure.share for failure in parsed) > 1 + 1e-9:
        raise ValueError("the shares of all failures are more than 1 together")
    return Misbehaviour(parsed, parse_delay(delay))


def parse_failure(text: str) -> Failure:
    status, _, share = text.partition(":")
    try:
        failure = Failure(int(status), float(share or "1"))
    except ValueError:
        failure = Failure(0, 0.0)
    if not (300 <= failure.status <= 599 and 0 < failure.share <= 1):
        raise ValueError(
            f"the failure is {text!r:.80}; wanted: STATUS:SHARE, a status from 300 to 599 and a "
            "share up to 1, such as 503:0.2"
        )
    return failure


def parse_delay(text: str) -> float:
    """Seconds of ``200ms`` or ``1.5s``."""
    found = _DELAY.match(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"the delay is {text!r:.80}; wanted: 200ms or 1.5s, up to 600s")
    return seconds
