"""How long to wait before a retry: full jitter, bounded, and never less than the server asks.

For the sender's retries (see `retry`) and for those of the forwarder's stored requests.
"""

from __future__ import annotations

import random

#: The wait before the n-th retry is drawn uniformly from 0 to FIRST * 2 ** (n - 1) seconds, at
#: most LONGEST. Drawing from 0 on ("full jitter") spreads the retries of a fleet of senders best
#: after an outage.
FIRST = 0.5
LONGEST = 30.0
#: A ``Retry-After`` is extended by a random factor of at most this, so that senders that
#: received the same one do not retry at the same moment.
SPREAD = 1.25


def wait_before_retry(retry: int, retry_after: float | None = None) -> float:
    """Seconds to wait before the n-th retry, from 1 on.

    Args:
        retry_after: seconds that the server asked for; 0 and None: it did not ask.
    """
    if retry_after:
        return retry_after * random.uniform(1, SPREAD)
    return random.uniform(0, min(LONGEST, FIRST * 2 ** min(retry - 1, 30)))
