"""What each probe said of itself: the history of its statuses, bounded."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reading import Glance
    from .store import Kept

_MOST_PROBES = 500
_MOST_STATUSES = 50


@dataclass(frozen=True)
class Said:
    """A status, when the probe got it (seconds since 1970), and its message."""

    at: float
    status: str
    message: str


@dataclass
class Probe:
    service: str
    probe: str
    history: deque[Said] = field(default_factory=lambda: deque(maxlen=_MOST_STATUSES))
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def status(self) -> str:
        return self.history[-1].status if self.history else ""


class ProbeBook:
    """The probes that were heard of lately."""

    def __init__(self) -> None:
        self._probes: OrderedDict[tuple[str, str], Probe] = OrderedDict()

    def note(self, kept: Kept) -> None:
        for glance in kept.glances:
            if glance.probe:
                self._note(glance, kept.at)
        while len(self._probes) > _MOST_PROBES:
            self._probes.popitem(last=False)

    def all(self) -> list[Probe]:
        return sorted(self._probes.values(), key=lambda probe: (probe.service, probe.probe))

    def _note(self, glance: Glance, at: float) -> None:
        key = (glance.service, glance.probe)
        probe = self._probes.setdefault(key, Probe(*key))
        self._probes.move_to_end(key)
        probe.counts[glance.kind] += 1
        if glance.kind == "status":
            when = glance.timestamp / 1000 if glance.timestamp else at
            probe.history.append(Said(when, glance.status, glance.message))
