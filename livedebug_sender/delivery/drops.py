"""Counts refused payloads; logs and reports every drop.

Payloads that are lost after they were queued are counted in the track's `Ledger`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..options import OnDrop
from ..protocol.tracks import Track
from ..runtime.atomic import STEP, AtomicInteger
from ..runtime.host_signals import raised_by_signal_handler
from ..runtime.log_limiter import LogLimiter
from ..stats import REFUSED

_TRACKS = {track.value: track for track in Track}


class DropCounter:
    """Counts payloads that were never in a queue, by reason, without a lock."""

    def __init__(self) -> None:
        self._counts = {reason: AtomicInteger() for reason in REFUSED}

    def count(self, reason: str) -> None:
        self._counts[reason].add(1, STEP)

    def adder(self, reason: str) -> Callable[[int, int], int]:
        """The function that adds to a reason's count: `AtomicInteger.add`."""
        return self._counts[reason].add

    def read(self) -> Counter[str]:
        return Counter({reason: n for reason, count in self._counts.items() if (n := count.read())})


class DropReporter:
    """Reports each drop to `on_drop`, and to the log."""

    def __init__(self, on_drop: OnDrop | None, log: LogLimiter) -> None:
        # Called with a `Track`, or with the given str if that is not a known track.
        self._on_drop: Callable[[Any, str, int], object] | None = on_drop
        self._log = log
        # The threads that are inside `on_drop` now: a drop caused by the callback itself is
        # counted but not reported, or a full queue would recurse endlessly.
        self._inside: set[int] = set()

    def report(self, track: str, reason: str, count: int, detail: str = "") -> None:
        words = f"payloads dropped ({track}, {reason})" + (f": {detail}" if detail else "")
        key = track if track in _TRACKS else None  # otherwise each unknown name would be stored
        self._log.note((key, reason), words, count)
        me = threading.get_ident()
        if self._on_drop is None or me in self._inside:
            return
        try:
            self._inside.add(me)
            self._on_drop(_TRACKS.get(track, track), reason, count)
        except KeyboardInterrupt:
            raise  # Ctrl-C by the user
        except BaseException as error:  # even SystemExit, which would end a worker, or the host
            if raised_by_signal_handler(error):
                raise
            self._log.note("on_drop", f"on_drop raised {type(error).__name__}: {error}")
        finally:
            self._inside.discard(me)
