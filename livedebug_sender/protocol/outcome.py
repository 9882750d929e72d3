"""What the primary endpoint's response means for the batch: a table, without I/O."""

from __future__ import annotations

from enum import Enum, auto


class Outcome(Enum):
    DELIVERED = auto()
    #: Sent again in two halves, until the payload at fault is alone.
    SPLIT = auto()
    #: Sent again later.
    RETRY = auto()
    #: Sent again at once, to the agent's diagnostics route.
    DOWNGRADE = auto()
    REJECTED = auto()
    #: Dropped as rejected, because of the API key.
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
        payloads: the size of the batch; a single one can't be split.
        agent_v2: whether it was sent to an agent's ``/debugger/v2/input``, which older agents lack.
    """
    outcome = _usual_outcome(status)
    if outcome is Outcome.SPLIT and payloads < 2:
        return Outcome.REJECTED
    if outcome is Outcome.DOWNGRADE and not agent_v2:
        return Outcome.REJECTED
    return outcome


def _usual_outcome(status: int) -> Outcome:
    # Not `dict.get`: on free-threaded builds (3.13) that takes a lock of the dict, which stays
    # held in a forked child if another thread held it at that moment.
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status // 100 in _BY_CLASS:
        return _BY_CLASS[status // 100]
    return Outcome.REJECTED


def speaks_of_payload(status: int) -> bool:
    """Whether a rejection with this status is about the payload, and not about the endpoint."""
    return _usual_outcome(status) is Outcome.SPLIT


def hints_at_crash(status: int) -> bool:
    """Whether a payload may have crashed the server; other 5xx are about the server's state."""
    return status == 500
