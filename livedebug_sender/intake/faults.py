"""Fault injection by plans in a small language: ``503 twice, then good``. No I/O.

The command line (``--fault``), the pytest fixture and the page accept the same plans. Several
plans may be given, separated by ``;``: each applies to every request, and their effects are
combined (the first response wins, delays are added). A plan may be for one track's route only::

    503 twice, then good          two requests are refused, then all are accepted
    snapshots: 429 retry-after 2s once
    no v2; late 200ms             an agent without /debugger/v2/input, and a slow one
    500 for 20%                   at random

A plan is a list of steps. The last one applies to all further requests, unless it has a count;
after that, requests are answered as usual.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..protocol.tracks import DIAGNOSTICS_PATH, V2_PATH, Track
from ..units import parse_seconds
from .reading import INTAKE_PATH, SYMDB_PATH

#: Maximum seconds; longer than any client waits.
_MAX_TIME = 600.0
_MAX_TIMES = 1_000_000
_DRIP = 0.1
_COUNTS = {"once": 1, "twice": 2}
_TIME = r"[0-9.]{1,12}(?:ms|s|m)?"
_STEP = re.compile(
    rf"(?:(?P<early>early )?(?P<status>[2-5]\d\d)(?: retry-after (?P<retry_after>{_TIME}))?"
    rf"|late (?P<late>{_TIME})|(?P<drip>drip)(?: (?P<interval>{_TIME}))?"
    r"|(?P<cut>reset|close|stall)|(?P<no_v2>no v2)|good)"
    r"(?: (?:(?P<word>once|twice)|(?P<times>\d{1,7}) times|for (?P<share>\d{1,3}(?:\.\d+)?)%))?\Z"
)
_EXPECTED = (
    "expected steps such as '503 twice, then good', '429 retry-after 2s', 'early 413', "
    "'late 200ms', 'drip 50ms', 'reset', 'close', 'stall', 'no v2', each with 'once', 'twice', "
    "'3 times' or 'for 20%', and in front a track ('symdb: 503 once')"
)


@dataclass(frozen=True)
class Fault:
    """The faults of one request; by default none.

    Attributes:
        status: of the response; None: the usual one.
        early: answer before the body is read, then close the connection.
        delay: seconds before the response.
        drip: seconds between the bytes of the response; None: they are sent at once.
        ending: instead of a response, ``reset`` or ``close`` the connection, or ``stall``
            (never answer); empty: answer.
        retry_after: seconds for the header ``Retry-After``; None: no such header.
        no_v2: act as an agent without ``/debugger/v2/input``.
    """

    status: int | None = None
    early: bool = False
    delay: float = 0.0
    drip: float | None = None
    ending: str = ""
    retry_after: float | None = None
    no_v2: bool = False

    def also(self, other: Fault) -> Fault:
        """The combination of both; where they conflict, this one wins."""
        return Fault(
            status=other.status if self.status is None else self.status,
            early=self.early or other.early,
            delay=self.delay + other.delay,
            drip=other.drip if self.drip is None else self.drip,
            ending=self.ending or other.ending,
            retry_after=other.retry_after if self.retry_after is None else self.retry_after,
            no_v2=self.no_v2 or other.no_v2,
        )


GOOD = Fault()


@dataclass
class _Step:
    """A fault, how often it is applied (None: for ever), and the share of requests (0 to 1)."""

    fault: Fault
    times: int | None
    share: float = 1.0


@dataclass
class _Plan:
    track: Track | None
    steps: list[_Step]

    def concerns(self, path: str, is_symdb: bool, content_type: str) -> bool:
        if self.track is None:
            return True
        if is_symdb or path == SYMDB_PATH:
            return self.track is Track.SYMDB
        if path == INTAKE_PATH:  # shared by all tracks
            is_diagnostics = content_type.lower().startswith("multipart/")
        else:
            is_diagnostics = path == DIAGNOSTICS_PATH
        return (
            self.track is Track.DIAGNOSTICS
            if is_diagnostics
            else self.track in (Track.SNAPSHOTS, Track.LOGS)
        )

    def current(self) -> Fault:
        return self.steps[0].fault if self.steps else GOOD

    def next(self, draw: Callable[[], float]) -> Fault:
        if not self.steps:
            return GOOD
        step = self.steps[0]
        if step.times is not None:
            step.times -= 1
            if step.times == 0:
                self.steps.pop(0)
        return step.fault if step.share >= 1 or draw() < step.share else GOOD


class FaultInjection:
    """The active plans, and their progress.

    Args:
        plans: in the language above; empty ones do nothing.

    Raises:
        ValueError: the message says what was given and what is expected.
    """

    def __init__(self, *plans: str, draw: Callable[[], float] = random.random) -> None:
        self.text = "; ".join(plan.strip() for plan in plans if plan.strip())
        self._plans = [_plan(text) for text in self.text.split(";") if text.strip()]
        self._draw = draw
        # Protects the plans: requests arrive on many threads, and each advances them.
        self._lock = threading.Lock()

    def next(self, path: str, *, is_symdb: bool = False, content_type: str = "") -> Fault:
        """The faults of the next request, which was sent to this path."""
        fault = GOOD
        with self._lock:
            for plan in self._plans:
                if plan.concerns(path, is_symdb, content_type):
                    fault = fault.also(plan.next(self._draw))
        if fault.no_v2 and path == V2_PATH and fault.status is None:
            return replace(fault, status=404)
        return fault

    def knows_v2(self) -> bool:
        """Whether ``/info`` lists ``/debugger/v2/input`` now."""
        with self._lock:
            return not any(plan.current().no_v2 for plan in self._plans)

    def left(self) -> str:
        """The remaining plan, in the same language; empty: no faults."""
        with self._lock:
            plans = [plan for plan in self._plans if any(step.fault != GOOD for step in plan.steps)]
            return "; ".join(_said(plan) for plan in plans)


def _time(text: str) -> float:
    seconds = parse_seconds("the time of a fault", text, zero=True)
    if seconds > _MAX_TIME:
        raise ValueError(f"the time of a fault is {text!r:.40}; expected up to 600s")
    return seconds


def _plan(text: str) -> _Plan:
    said = " ".join(text.lower().split())
    name, colon, rest = said.partition(":")
    track = None
    if colon:
        if name not in list(Track):
            raise ValueError(
                f"the fault is {text.strip()!r:.80}: no track {name!r:.40}; {_EXPECTED}"
            )
        track, said = Track(name), rest.strip()
    parts = [part.strip().removeprefix("then ").strip() for part in said.split(",")]
    steps = [_step(part, text, last=n == len(parts) - 1) for n, part in enumerate(parts)]
    return _Plan(track, steps)


def _step(said: str, whole: str, *, last: bool) -> _Step:
    found = _STEP.match(said)
    if found is None:
        raise _invalid(whole, f"not understood: {said!r:.60}")
    share = float(found["share"] or 100) / 100
    times = int(found["times"] or _COUNTS.get(found["word"] or "", 0)) or None
    if (found["times"] and not 1 <= int(found["times"]) <= _MAX_TIMES) or not 0 < share <= 1:
        raise _invalid(whole, f"{said!r:.60} needs a count above 0, or a share up to 100%")
    if times is None and not last:
        if found["share"]:
            raise _invalid(whole, f"{said!r:.60} has no end, so no step can follow it")
        times = 1
    return _Step(_fault(found), times, share)


def _invalid(whole: str, why: str) -> ValueError:
    return ValueError(f"the fault is {whole.strip()!r:.80}: {why}; {_EXPECTED}")


def _fault(found: re.Match[str]) -> Fault:
    retry_after, late = found["retry_after"], found["late"]
    drip = _time(found["interval"]) if found["interval"] else _DRIP
    return Fault(
        status=int(found["status"]) if found["status"] else None,
        early=bool(found["early"]),
        delay=_time(late) if late else 0.0,
        drip=drip if found["drip"] else None,
        ending=found["cut"] or "",
        retry_after=_time(retry_after) if retry_after else None,
        no_v2=bool(found["no_v2"]),
    )


def _said(plan: _Plan) -> str:
    steps = [_step_said(step) for step in plan.steps]
    front = f"{plan.track}: " if plan.track else ""
    return front + ", then ".join(steps)


def _step_said(step: _Step) -> str:
    times = "" if step.times is None else f" {step.times} times"
    share = "" if step.share >= 1 else f" for {step.share * 100:g}%"
    return _fault_said(step.fault) + times + share


def _fault_said(fault: Fault) -> str:
    words = (
        (fault.status is not None, f"{'early ' if fault.early else ''}{fault.status}"),
        (fault.retry_after is not None, f"retry-after {fault.retry_after}s"),
        (fault.delay > 0, f"late {fault.delay:g}s"),
        (fault.drip is not None, f"drip {fault.drip}s"),
        (bool(fault.ending), fault.ending),
        (fault.no_v2, "no v2"),
    )
    return " ".join(text for said, text in words if said) or "good"
