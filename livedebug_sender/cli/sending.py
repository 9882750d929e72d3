"""Payloads into a `Sender` no faster than they leave it: nothing is dropped for lack of room."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..config import SenderConfig
from ..protocol.tracks import Track
from ..sender import Sender
from ..stats import Stats
from ..units import MiB
from .payload_files import Found

MOST_PAYLOAD = MiB
MOST_BODY = 32 * MiB
_MOST_ITEMS = 4096
# So much waits in the queue at most. With a payload more, it is still less than what
# floods may use of the bounds (90 %).
_WAITING_ITEMS = _MOST_ITEMS // 2
_WAITING_BYTES = MOST_BODY // 2
#: Seconds between two looks at how far it got.
_LOOK = 0.1
#: Seconds for the additional endpoints, at the end.
_CLOSING = 10.0
#: So many refused without one taken: the rest would be refused too.
_HOPELESS = 1000
_MOST_PROBLEMS = 50


@dataclass
class Report:
    """What became of the payloads.

    Attributes:
        unfit: payloads that can't be offered: no JSON, too large.
        stopped: why not everything was read; empty if it was.
    """

    offered: int = 0
    unfit: int = 0
    stopped: str = ""
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


class Sending:
    """One run of ``send``.

    Args:
        look: called with the sender's accounts and the bytes that were read, often.
        note: called with what goes wrong, in words.

    Raises:
        ConfigError: for tags that can't be meant.
    """

    def __init__(
        self,
        config: SenderConfig,
        track: Track,
        *,
        tags: str,
        content_type: str | None,
        retry_for: float,
        look: Callable[[Stats, int], None],
        note: Callable[[str], None],
    ) -> None:
        self.report = Report()
        self._track = track
        self._content_type = content_type
        self._retry_for = retry_for
        self._look = look
        self._note = note
        self._read = 0
        # What may be offered before the next look at the accounts.
        self._room_items = 0
        self._room_bytes = 0
        self._sender = Sender(
            config,
            tags=tags,
            max_queue_items=_MOST_ITEMS,
            max_queue_bytes=2 * MOST_BODY,
            max_payload_bytes=MOST_PAYLOAD,
            retry_for=retry_for,
            on_drop=self._dropped,
        )

    def run(self, found: Iterable[Found]) -> Stats:
        """Send all; the accounts when it is over."""
        try:
            for one in found:
                self._offer(one)
                if self.report.stopped:
                    break
            while not self.report.stopped and not self._sender.flush(_LOOK):
                self._look(self._sender.stats(), self._read)
        except KeyboardInterrupt:
            self.report.stopped = "interrupted"
        self._sender.close(0.0 if self.report.stopped else _CLOSING)
        return self._sender.stats()

    def _offer(self, found: Found) -> None:
        self._read = found.offset
        if found.problem:
            self.report.unfit += 1
            self._note(f"{found.place}: {found.problem}")
            return
        self._wait_for_room(len(found.payload))
        if not self.report.stopped:
            self.report.offered += 1
            self._room_items -= 1
            self._room_bytes -= len(found.payload)
            self._sender.enqueue(self._track, found.payload, content_type=self._content_type)

    def _wait_for_room(self, size: int) -> None:
        while self._room_items < 1 or self._room_bytes < size:
            stats = self._sender.stats()
            self._look(stats, self._read)
            if not stats.delivered and stats.dropped.get("rejected", 0) >= _HOPELESS:
                self.report.stopped = "nothing was taken of what was sent so far"
            if self.report.stopped:
                return
            self._room_items = _WAITING_ITEMS - stats.pending
            self._room_bytes = max(_WAITING_BYTES, size) - stats.pending_bytes
            if self._room_items < 1 or self._room_bytes < size:
                self._sender.flush(_LOOK)

    def _dropped(self, track: str, reason: str, count: int) -> None:
        if reason == "undeliverable":  # so would all be that comes after it
            self.report.stopped = f"no success within {self._retry_for:g} seconds"
