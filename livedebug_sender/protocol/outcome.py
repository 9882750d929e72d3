"""What an answer of the primary endpoint means for the batch."""

from __future__ import annotations

from enum import Enum, auto


class Outcome(Enum):
    DELIVERED = auto()
    #: Sent again in two halves, until the payload that is at fault stands alone.
    SPLIT = auto()
    #: Sent again later.
    RETRY = auto()
    #: Sent again at once, to the agent's diagnostics route.
    DOWNGRADE = auto()
    REJECTED = auto()
    #: Rejected, because of the API key.
    KEY_REFUSED = auto()


_BY_STATUS = {
    **dict.fromkeys((400, 413, 422), Outcome.SPLIT),
    **dict.fromkeys((401, 403), Outcome.KEY_REFUSED),
    **dict.fromkeys((404, 405), Outcome.DOWNGRADE),
    **dict.fromkeys((408, 429), Outcome.RETRY),
}
_BY_CLASS = {2: Outcome.DELIVERED, 5: Outcome.RETRY}


def outcome_of(status: int, *, payloads: int, agent_v2: bool) -> Outcome:
    """The outcome of an HTTP status.

    Args:
        payloads: how many were in the batch; a single one can't be split.
        agent_v2: was it an agent's ``/debugger/v2/input``, which an old one lacks?
    """
    outcome = _usual_outcome(status)
    if outcome is Outcome.SPLIT and payloads < 2:
        return Outcome.REJECTED
    if outcome is Outcome.DOWNGRADE and not agent_v2:
        return Outcome.REJECTED
    return outcome


def _usual_outcome(status: int) -> Outcome:
    # Not by `get`: without the interpreter's lock that takes one of the dict (3.13), which a
    # forked child finds taken for ever if another thread had it at that moment.
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status // 100 in _BY_CLASS:
        return _BY_CLASS[status // 100]
    return Outcome.REJECTED


def speaks_of_payload(status: int) -> bool:
    """Is a rejection with this status about the payload, and not about its endpoint?"""
    return _usual_outcome(status) is Outcome.SPLIT


def hints_at_crash(status: int) -> bool:
    """May one of the payloads have crashed the server? Other 5xx are about its state."""
    return status == 500
