"""Metrics that each worker process publishes for the others.

For metrics that are local to a process, mostly the state of its queue. Each worker writes its
own about every second; the one that serves /metrics combines them.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass

_SIZE = 16 * 1024
_HEADER = 8


@dataclass
class Family:
    """One metric family.

    Attributes:
        kind: ``"counter"`` or ``"gauge"``.
        label: the name of its label; "" for none.
        values: by the value of the label, "" if there is none.
        combine: how the values of several workers are combined: ``"sum"``, ``"max"``, ``"min"``.
    """

    name: str
    kind: str
    words: str
    label: str
    values: dict[str, float]
    combine: str = "sum"


@dataclass
class WorkerState:
    """The metrics that a worker publishes. `fullness`: of its queue, 0 to 1."""

    families: list[Family]
    fullness: float = 0.0


class Published:
    """Memory shared with forked children, one section for each worker."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * _SIZE)

    def write(self, worker: int, state: WorkerState) -> None:
        """Replace the metrics of a worker."""
        text = json.dumps(asdict(state)).encode()
        if len(text) > _SIZE - _HEADER:
            raise ValueError(f"{len(text)} bytes of metrics, more than {_SIZE - _HEADER}")
        head = len(text).to_bytes(4, "big") + zlib.crc32(text).to_bytes(4, "big")
        at = worker * _SIZE
        self._memory[at : at + _HEADER + len(text)] = head + text

    def read(self) -> list[WorkerState]:
        """The metrics of all workers, except for any that are being written right now."""
        states = []
        for worker in range(self._workers):
            at = worker * _SIZE
            part = self._memory[at : at + _SIZE]
            size = int.from_bytes(part[:4], "big")
            text = part[_HEADER : _HEADER + size]
            if size and zlib.crc32(text) == int.from_bytes(part[4:8], "big"):
                state = json.loads(text)
                families = [Family(**one) for one in state["families"]]
                states.append(WorkerState(families, state["fullness"]))
        return states

    def clear(self, worker: int) -> None:
        self._memory[worker * _SIZE : worker * _SIZE + _HEADER] = bytes(_HEADER)


def combined(states: list[WorkerState]) -> list[Family]:
    """The families of several workers as one."""
    together: dict[str, list[Family]] = {}
    for state in states:
        for family in state.families:
            together.setdefault(family.name, []).append(family)
    result = []
    for families in together.values():
        first = families[0]
        labels = dict.fromkeys(value for family in families for value in family.values)
        combine = _COMBINE[first.combine]
        values = {
            value: combine([family.values[value] for family in families if value in family.values])
            for value in labels
        }
        result.append(Family(first.name, first.kind, first.words, first.label, values))
    return result


_COMBINE: dict[str, Callable[[list[float]], float]] = {"sum": sum, "max": max, "min": min}
