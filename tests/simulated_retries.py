"""A simulated clock for the retries: no time passes, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable

from livedebug_sender.delivery.retry import try_for_long


class World:
    """An endpoint that answers by the script, and the time that passes meanwhile."""

    def __init__(self, answers: Callable[[float], str], asks: str | None = None) -> None:
        self.now = 1000.0
        self.answers = answers
        self.asks = asks
        self.attempts: list[float] = []
        self.last_call: float | None = None

    def attempt(self) -> str:
        self.attempts.append(self.now)
        return self.answers(self.now)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def run(self, retry_for: float = 300.0) -> str:
        return try_for_long(
            self.attempt,
            again=lambda result: result != "done",
            asked_to_wait=lambda _: self.asks,
            give_up_at=self.now + retry_for,
            last_call=lambda: self.last_call,
            pause=self.pause,
            clock=lambda: self.now,
        )

    def gaps(self) -> list[float]:
        return [b - a for a, b in zip(self.attempts, self.attempts[1:], strict=False)]
