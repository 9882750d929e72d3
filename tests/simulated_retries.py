"""A simulated clock for the retries: no time passes, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable

from livedebug_sender.delivery.retry import retry_until


class World:
    """An endpoint that answers by the script, and the time that passes meanwhile."""

    def __init__(self, answers: Callable[[float], str], asks: float | None = None) -> None:
        self.now = 1000.0
        self.answers = answers
        self.asks = asks
        self.attempts: list[float] = []
        self.shutdown_deadline: float | None = None

    def attempt(self) -> str:
        self.attempts.append(self.now)
        return self.answers(self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def run(self, retry_for: float = 300.0) -> str:
        return retry_until(
            self.attempt,
            should_retry=lambda result: result != "done",
            retry_after=lambda _: self.asks,
            give_up_at=self.now + retry_for,
            shutdown_deadline=lambda: self.shutdown_deadline,
            wait=self.wait,
            clock=lambda: self.now,
        )

    def gaps(self) -> list[float]:
        return [b - a for a, b in zip(self.attempts, self.attempts[1:], strict=False)]
