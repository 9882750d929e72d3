"""When to try again: full jitter, bounded, and as the server asks. `tenacity` does the rest."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from ..protocol.retry_after import parse_retry_after

Result = TypeVar("Result")

#: The wait before the n-th retry is drawn evenly from 0 to FIRST * 2 ** (n - 1) seconds,
#: but never to more than LONGEST. Drawing from 0 on ("full jitter") spreads a fleet of
#: senders best over the time after an outage.
FIRST = 0.5
LONGEST = 30.0
#: A ``Retry-After`` is followed by so many times as long at most.
SPREAD = 1.25


def try_for_long(
    attempt: Callable[[], Result],
    *,
    again: Callable[[Result], bool],
    asked_to_wait: Callable[[Result], str | None],
    give_up_at: float,
    last_call: Callable[[], float | None],
    pause: Callable[[float], None],
    clock: Callable[[], float],
) -> Result:
    """Attempt until there is a result that needs no other try, or time is over.

    Args:
        again: should an attempt with this result be repeated?
        asked_to_wait: the ``Retry-After`` that came with it; it is obeyed.
        give_up_at: no attempt starts after that (seconds of `clock`), but the first.
        last_call: None, or the end of a shutdown: no attempt starts after it.
        pause: waits so many seconds, or less if there is a reason to.

    Returns:
        The last attempt's result.
    """
    first = attempt()
    if not again(first):
        return first  # as nearly always: tenacity costs a tenth of the request
    jitter = tenacity.wait_random_exponential(multiplier=FIRST, max=LONGEST)
    last = [first]
    attempts = 1

    def attempt_in_time() -> Result:
        nonlocal attempts
        if attempts > 1 and clock() < give_up_at:
            last[0] = attempt()
        attempts += 1
        return last[0]

    def wait(state: tenacity.RetryCallState) -> float:
        asked = parse_retry_after(asked_to_wait(last[0]), time.time())
        # Never before the time that was asked for, but not all of a fleet at one moment.
        # To come back at once (0, a date gone by) is no wish for a flood of requests.
        seconds = asked * random.uniform(1, SPREAD) if asked else jitter(state)
        # Not past the end: a batch that was told to wait for longer is dropped on time.
        return max(0.0, min(seconds, give_up_at - clock()))

    def stop(state: tenacity.RetryCallState) -> bool:
        end = last_call()
        return clock() >= give_up_at or clock() + state.upcoming_sleep >= (
            math.inf if end is None else end
        )

    return tenacity.Retrying(
        sleep=pause,
        wait=wait,
        stop=stop,
        retry=tenacity.retry_if_result(again),
        retry_error_callback=lambda _: last[0],
    )(attempt_in_time)
