"""The forwarder and the Agent's own receiver under `wrk`, in front of the same intake.

Each is a process of its own (the forwarder with a worker for each core, as by default). What
is stored counts once it is delivered: the time until the queue is empty is counted in.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from registry import Figures, contender

sys.path.insert(0, str(Path(__file__).parents[1]))
from real_agent import running_agent

AGENT = "agent"
_SECONDS = 3
#: Seconds after which what is not needed any more was given back to the system, if ever.
_SETTLED_AFTER = 8.0
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_COMMAND = "from livedebug_sender.forwarder.command import forward; forward()"
_POST = """
wrk.method = "POST"
wrk.path = "/debugger/v2/input"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '[{"a":"' .. string.rep("x", %d) .. '"}]'
"""


@dataclass(frozen=True)
class Serving:
    """A process that forwards, at an address."""

    address: str
    pid: int

    def memory(self) -> float:
        """Bytes of it and its children; what they share is counted once."""
        listed = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True)
        return float(sum(_proportional(pid) for pid in [self.pid, *listed.stdout.split()]))

    def drained(self) -> None:
        """Wait until nothing is queued any more."""
        while True:
            with urlopen(f"http://{self.address}/metrics") as page:
                queued = re.search(
                    r"^livedebug_forwarder_queued (\S+)$", page.read().decode(), re.M
                )
            if queued is None or float(queued[1]) == 0:
                return
            time.sleep(0.02)


@contextmanager
def serving(url: str, who: str) -> Iterator[Serving]:
    """The Agent, or a forwarder in the mode `who`, to an intake."""
    prefixes = "DD_APM_DEBUGGER", "DD_APM_DEBUGGER_DIAGNOSTICS", "DD_APM_SYMDB"
    variables = {f"{prefix}_DD_URL": f"{url}/api/v2/debugger" for prefix in prefixes}
    variables |= {"DD_API_KEY": "k" * 32, "DD_HOSTNAME": "h", "DD_ENV": "none"}
    if who == AGENT:
        with running_agent({**variables, "AGENT_VERSION": "1.0"}) as agent:
            yield Serving(agent.address, agent.pid)
        return
    # Room for what comes faster than it goes, for as long as a measurement takes.
    options = ("--mode", who, "--queue-items", "1000000", "--queue-bytes", "4GiB")
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "--listen", "127.0.0.1:0", *options],
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        told = re.search(r" from (\S+)$", process.stderr.readline())
        assert told, process.stderr.read()
        yield Serving(told[1], process.pid)
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()


@contender
def forwarding(url: str, who: str, clients: int, size: int) -> Figures:
    """Seconds of a request, by throughput (`wall`), at the median and the 99th percentile."""
    with serving(url, who) as server:
        wrk(server.address, clients, size, 1)
        if who != AGENT:
            server.drained()
        begun = time.monotonic()
        figures = wrk(server.address, clients, size, _SECONDS)
        if who != AGENT:
            server.drained()
            # wrk needs a moment of its own at the end, on both sides.
            extra = max(0.0, time.monotonic() - begun - figures["took"] - 0.2)
            figures["wall"] = (figures["took"] + extra) / figures["done"]
        return figures


@contender
def forwarding_memory(url: str, who: str, requests: int) -> Figures:
    """Bytes of memory after so many requests of 200 KB by eight clients."""
    with serving(url, who) as server:
        done = 0.0
        while done < requests:
            done += wrk(server.address, 8, 200 * 1024, 2)["done"]
        if who != AGENT:
            server.drained()
        time.sleep(_SETTLED_AFTER)
        return {"bytes": server.memory()}


def wrk(address: str, clients: int, size: int, seconds: int) -> Figures:
    with TemporaryDirectory() as folder:
        script = Path(folder, "post.lua")
        script.write_text(_POST % (size - 10))
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", str(script)]
        url = f"http://{address}"
        told = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in told, told
    assert "Socket errors" not in told, told
    at = {share: re.search(rf"{share}%\s+([\d.]+)(us|ms|s)\b", told) for share in (50, 99)}
    done = re.search(r"(\d+) requests in ([\d.]+)(s|m)", told)
    assert at[50], told
    assert at[99], told
    assert done, told
    took = float(done[2]) * (60 if done[3] == "m" else 1)
    return {
        "p50": float(at[50][1]) * _UNITS[at[50][2]],
        "p99": float(at[99][1]) * _UNITS[at[99][2]],
        "took": took,
        "done": float(done[1]),
        "wall": took / float(done[1]),
    }


def _proportional(pid: int | str) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it is gone
        return 0
    return (
        next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024
    )
