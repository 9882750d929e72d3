"""When to try again: full jitter, bounded, and as the server asks. `tenacity` does the rest."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TypeVar

import tenacity

from .backoff import FIRST, LONGEST, SPREAD

Result = TypeVar("Result")


def wait_before_retry(retry: int, retry_after: float | None = None) -> float:
    """Seconds to wait before the n-th retry, from 1 on.

    Args:
        retry_after: seconds that the server asked for; 0 and None: it did not ask.
    """
    if retry_after:
        # Never before the time that was asked for, and not all of a fleet at one moment.
        return retry_after * random.uniform(1, SPREAD)
    return random.uniform(0, min(LONGEST, FIRST * 2 ** min(retry - 1, 30)))


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
    """Attempt until there is a result that needs no other try, or time is over.

    Args:
        should_retry: should an attempt with this result be repeated?
        retry_after: seconds that came with it as ``Retry-After``; they are obeyed.
        give_up_at: no attempt starts after that (seconds of `clock`), but the first.
        shutdown_deadline: None, or the end of a shutdown: no attempt starts after it.
        wait: waits so many seconds, or less if there is a reason to.

    Returns:
        The last attempt's result.
    """
    first = attempt()
    if not should_retry(first):
        return first  # as nearly always: tenacity costs a tenth of the request
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
        # Not past the end: a batch that was told to wait for longer is dropped on time.
        return max(0.0, min(wanted, give_up_at - clock()))

    def stop(state: tenacity.RetryCallState) -> bool:
        end = shutdown_deadline()
        return clock() >= give_up_at or clock() + state.upcoming_sleep >= (
            math.inf if end is None else end
        )

    return tenacity.Retrying(
        sleep=wait,
        wait=seconds,
        stop=stop,
        retry=tenacity.retry_if_result(should_retry),
        retry_error_callback=lambda _: last[0],
    )(attempt_in_time)
