"""The forwarder under `wrk`, against the same server that only answers 202."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registry import Figures, contender

SCRIPT = str(Path(__file__).with_name("post.lua"))
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class OnlyAnswers:
    """In a forwarder's place: reads the body and answers 202."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        start_response("202 Accepted", [("Content-Length", "2")])
        return [b"{}"]

    def publish(self) -> None:
        pass

    def end_soon(self) -> None:
        pass

    def close(self, timeout: float) -> bool:
        return True


@contextmanager
def serving(url: str, mode: str | None) -> Iterator[str]:
    """The address of a server with a forwarder to `url`, or with `OnlyAnswers`."""
    from livedebug_sender.forwarder import Forwarder, Settings
    from livedebug_sender.forwarder.server import Server

    prefixes = "DD_APM_DEBUGGER", "DD_APM_DEBUGGER_DIAGNOSTICS", "DD_APM_SYMDB"
    urls = {f"{prefix}_DD_URL": f"{url}/api/v2/debugger" for prefix in prefixes}
    settings = Settings.from_env(
        {"DD_API_KEY": "k" * 32, "DD_HOSTNAME": "h", **urls}, mode=mode or "pass-through"
    )
    app: Any = Forwarder(settings) if mode else OnlyAnswers()
    server = Server(app, settings, ["127.0.0.1:0"])
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://{server.addresses[0]}"
    finally:
        server.stop()
        thread.join()


@contender
def forwarding(url: str, mode: str | None, clients: int) -> Figures:
    """Seconds of a request, by throughput and at the median."""
    with serving(url, mode) as address:
        return _wrk(address, clients, 3)


@contender
def forwarding_memory(url: str, mode: str, requests: int) -> Figures:
    """Memory after so many more requests over that after the first."""
    with serving(url, mode) as address:
        _wrk(address, 8, 5)
        before, done = _resident(), 0.0
        while done < requests:
            done += _wrk(address, 8, 10)["done"]
        return {"ratio": _resident() / before}


def _wrk(address: str, clients: int, seconds: int) -> Figures:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", SCRIPT, address]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in told, told
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)\b", told)
    done = re.search(r"(\d+) requests in", told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert median
    assert done
    assert rate, told
    return {
        "p50": float(median[1]) * _UNITS[median[2]],
        "wall": 1 / float(rate[1]),
        "done": float(done[1]),
    }


def _resident() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
