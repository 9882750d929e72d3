"""The numbers of the waits between retries, apart from `retry`: that loads tenacity."""

from __future__ import annotations

#: The wait before the n-th retry is drawn evenly from 0 to FIRST * 2 ** (n - 1) seconds,
#: but never to more than LONGEST. Drawing from 0 on ("full jitter") spreads a fleet of
#: senders best over the time after an outage.
FIRST = 0.5
LONGEST = 30.0
#: A ``Retry-After`` is followed by so many times as long at most.
SPREAD = 1.25
