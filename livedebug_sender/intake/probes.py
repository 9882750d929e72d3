"""The statuses that each probe reported, a bounded history."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

from .records import RecordedRequest
from .summary import PayloadSummary

_MAX_PROBES = 500
_MAX_STATUSES = 50


@dataclass(frozen=True)
class StatusChange:
    """A status of a probe, its time (seconds since 1970), and its message.

    Attributes:
        exception: the reason of an error; otherwise empty.
    """

    at: float
    status: str
    message: str
    exception: str = ""


@dataclass
class Probe:
    """A probe of a service.

    Attributes:
        counts: payloads by their kind.
        last: when its last payload arrived (seconds since 1970).
        location: ``file:line``, or a function; empty until a snapshot or log contains it.
    """

    service: str
    probe: str
    history: deque[StatusChange] = field(default_factory=lambda: deque(maxlen=_MAX_STATUSES))
    counts: Counter[str] = field(default_factory=Counter)
    last: float = 0.0
    location: str = ""

    @property
    def status(self) -> str:
        return self.history[-1].status if self.history else ""


class ProbeBook:
    """The probes of recent payloads."""

    def __init__(self) -> None:
        self._probes: OrderedDict[tuple[str, str], Probe] = OrderedDict()

    def note(self, request: RecordedRequest) -> None:
        for summary in request.summaries:
            if summary.probe:
                self._note(summary, request.at)
        while len(self._probes) > _MAX_PROBES:
            self._probes.popitem(last=False)

    def all(self) -> list[Probe]:
        return list(self._probes.values())

    def _note(self, summary: PayloadSummary, at: float) -> None:
        key = (summary.service, summary.probe)
        probe = self._probes.setdefault(key, Probe(*key))
        self._probes.move_to_end(key)
        probe.counts[summary.kind] += 1
        probe.last = at
        if summary.file:
            probe.location = f"{summary.file}:{summary.line}" if summary.line else summary.file
        if summary.kind == "status":
            when = at if summary.timestamp is None else summary.timestamp / 1000
            change = StatusChange(when, summary.status, summary.message, summary.exception)
            probe.history.append(change)
