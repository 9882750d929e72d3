"""Feeds payloads to a `Sender` no faster than it sends them, so that its queue never overflows."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..config import SenderConfig
from ..sender import Sender
from ..stats import REFUSED, Stats
from ..units import MiB
from .input_files import MAX_BODY
from .payload_files import Found

MAX_PAYLOAD = MiB
MAX_ITEMS = 4096
# The maximum that waits in the queue. With one payload more, it is still below the share of the
# limits that snapshots and logs may use (90 %).
WAITING_ITEMS = MAX_ITEMS // 2
WAITING_BYTES = MAX_BODY // 2
#: Seconds between two checks of the progress.
_LOOK = 0.1
#: Seconds for the additional endpoints, at the end.
_CLOSING = 10.0
#: After this many refused payloads without an accepted one, the rest would be refused, too.
_HOPELESS = 1000
_MAX_PROBLEMS = 50


@dataclass
class Report:
    """The outcome of a run.

    Attributes:
        passed_over: payloads that were not enqueued, by reason: not readable, too large.
        skipped: payloads that were skipped with ``--skip``.
        stopped: why not everything was read; empty if it was.
        resume_at: the number of payloads, from the first of the first file, that are settled;
            the next one is where to resume.
    """

    offered: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    stopped: str = ""
    resume_at: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)


class Sending:
    """One run of ``send``.

    Args:
        prune: prune snapshots that are too large, instead of dropping them.
        skip: the number of payloads to skip, from the first of the first file.
        look: called often, with the sender's stats and the number of bytes read.
        note: called with a description of each problem.

    Raises:
        ConfigError: the tags are invalid.
    """

    def __init__(
        self,
        config: SenderConfig,
        *,
        tags: str,
        retry_for: float,
        prune: bool,
        skip: int,
        look: Callable[[Stats, int], None],
        note: Callable[[str], None],
    ) -> None:
        self.report = Report()
        self._retry_for = retry_for
        self._skip = skip
        self._look = look
        self._note = note
        self._read = 0
        # The number, in all files, of the last payload that was dropped or enqueued. Ctrl-C may
        # interrupt at any line: the number is updated afterwards, so that a payload may be sent
        # twice, but none is skipped.
        self._came_to = 0
        # The numbers, in all files, of payloads that were enqueued and may not be settled.
        self._under_way: dict[str, deque[int]] = {}
        self._shut_down: Counter[str] = Counter()
        # How many may be enqueued before the stats are checked again.
        self._room_items = 0
        self._room_bytes = 0
        self._sender = Sender(
            config,
            tags=tags,
            max_queue_items=MAX_ITEMS,
            max_queue_bytes=2 * MAX_BODY,
            max_payload_bytes=MAX_PAYLOAD,
            retry_for=self._retry_for,
            oversize="prune" if prune else "drop",
            on_drop=self._dropped,
        )

    def run(self, found: Iterable[Found]) -> Stats:
        """Send all payloads; returns the sender's stats."""
        try:
            for number, one in enumerate(found, start=1):
                if number <= self._skip:
                    self.report.skipped += 1
                    self._came_to = number
                else:
                    self._offer(one, number)
                if self.report.stopped:
                    break
            while not self.report.stopped and not self._sender.flush(_LOOK):
                self._look(self._sender.stats(), self._read)
        except KeyboardInterrupt:
            self.report.stopped = "interrupted"
        self._sender.close(0.0 if self.report.stopped else _CLOSING)
        stats = self._sender.stats()
        refused = sum(stats.dropped.get(reason, 0) for reason in REFUSED)
        self.report.offered = stats.enqueued + refused
        self.report.resume_at = self._ended()
        return stats

    def _offer(self, found: Found, number: int) -> None:
        self._read = found.offset
        if found.problem or found.track is None:
            self.report.passed_over[found.reason] += 1
            place = f"{found.file}, {found.place}" if found.place else found.file
            self._note(f"{place}: {found.problem}")
            self._came_to = number
            return
        self._wait_for_room(len(found.payload))
        if self.report.stopped:
            return
        self._room_items -= 1
        self._room_bytes -= len(found.payload)
        # Limited to the maximum number of pending payloads: no more can be lost at the end.
        numbers = self._under_way.setdefault(found.track, deque(maxlen=MAX_ITEMS))
        if self._sender.enqueue(found.track, found.payload, content_type=found.content_type):
            numbers.append(number)
        self._came_to = number

    def _ended(self) -> int:
        """The number of payloads before the first one that was not settled at the stop."""
        ended = self._came_to
        for track, lost in self._shut_down.items():
            # Within a track, payloads are settled in order: the last ones are not settled.
            numbers = self._under_way[track]
            first_lost = numbers[-min(lost, len(numbers))] if numbers else self._skip + 1
            ended = min(ended, first_lost - 1)
        return ended

    def _wait_for_room(self, size: int) -> None:
        while self._room_items < 1 or self._room_bytes < size:
            stats = self._sender.stats()
            self._look(stats, self._read)
            if not stats.delivered and stats.dropped.get("rejected", 0) >= _HOPELESS:
                self.report.stopped = "the endpoint accepted nothing of what was sent so far"
            if self.report.stopped:
                return
            self._room_items = WAITING_ITEMS - stats.pending
            self._room_bytes = max(WAITING_BYTES, size) - stats.pending_bytes
            if self._room_items < 1 or self._room_bytes < size:
                self._sender.flush(_LOOK)

    def _dropped(self, track: str, reason: str, count: int) -> None:
        if reason in ("shutdown", "undeliverable"):
            self._shut_down[str(track)] += count
        if reason == "undeliverable":  # and so would be all that follow
            unit = "second" if self._retry_for == 1 else "seconds"
            self.report.stopped = f"no success within {self._retry_for:g} {unit}"
