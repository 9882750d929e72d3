"""Repeats an attempt until it succeeds or its time is over; by `tenacity`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import tenacity

from .backoff import wait_before_retry

Result = TypeVar("Result")


def retry_until(
    attempt: Callable[[], Result],
    *,
    should_retry: Callable[[Result], bool],
    retry_after: Callable[[Result], float | None],
    give_up_at: float,
    shutdown_deadline: Callable[[], float | None],
    wait: Callable[[float], None],
    clock: Callable[[], float],
) -> Result:
    """Attempt until a result needs no retry, or the time is over.

    Args:
        should_retry: whether an attempt with this result is repeated.
        retry_after: the result's ``Retry-After`` in seconds; the next attempt waits for it.
        give_up_at: when to stop retrying (seconds of `clock`); the first attempt is always made.
        shutdown_deadline: the end of a shutdown, after which no attempt starts; None while
            there is none.
        wait: waits for that many seconds, or less if a shutdown interrupts it.

    Returns:
        The last attempt's result.
    """
    first = attempt()
    if not should_retry(first):
        return first  # nearly always; tenacity would take a tenth of the request's time
    last = [first]
    attempts = 1

    def attempt_in_time() -> Result:
        nonlocal attempts
        if attempts > 1 and clock() < give_up_at:
            last[0] = attempt()
        attempts += 1
        return last[0]

    def seconds(state: tenacity.RetryCallState) -> float:
        wanted = wait_before_retry(state.attempt_number, retry_after(last[0]))
        # Not past the end: a batch that would have to wait longer is dropped on time.
        return max(0.0, min(wanted, give_up_at - clock()))

    def stop(state: tenacity.RetryCallState) -> bool:
        end = shutdown_deadline()
        return clock() >= give_up_at or clock() + state.upcoming_sleep >= (
            math.inf if end is None else end
        )

    retrying = tenacity.Retrying(
        sleep=wait,
        wait=seconds,
        stop=stop,
        retry=tenacity.retry_if_result(should_retry),
        retry_error_callback=lambda _: last[0],
    )
    try:
        return retrying(attempt_in_time)
    finally:
        # It refers to itself, and by the functions above to the batch, which would stay in memory
        # until the garbage collector runs.
        retrying.iter_state.reset()
