"""The forwarder under `wrk` for as long as wanted, with its memory over time.

tox -e forwarder-soak -- --seconds 600. Fails if the memory at the end is more than a tenth
over that after the first fifth, or if a request was not answered with a 202.
"""

from __future__ import annotations

import argparse
import sys
import time

from forwarding import serving, wrk
from intake import running_intake

_STEP = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--mode", default="pass-through")
    options = parser.parse_args()
    memory = []
    with running_intake() as intake, serving(intake.url, options.mode) as server:
        begun = time.monotonic()
        print(f"{'seconds':>8} {'requests':>9} {'99 %, ms':>9} {'MiB':>7}")
        while time.monotonic() - begun < options.seconds:
            # 2 KB and 200 KB in turn, with new connections each time.
            size = 2048 if len(memory) % 2 else 200 * 1024
            figures = wrk(server.address, 8, size, _STEP)
            server.drained()
            memory.append(server.memory() / 2**20)
            at = time.monotonic() - begun
            print(f"{at:8.0f} {figures['done']:9.0f} {figures['p99'] * 1e3:9.1f} {memory[-1]:7.1f}")
    settled = max(memory[: max(4, len(memory) // 5)])
    grown = memory[-1] / settled
    print(f"at the end {grown:.2f} times the memory after the first fifth")
    sys.exit(grown > 1.1)


if __name__ == "__main__":
    main()
