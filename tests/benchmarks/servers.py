"""Servers for a WSGI application that only answers: time a request, and what each takes.

Ours, and those that are installed of granian, gunicorn and waitress, in turn:

    pip install granian gunicorn waitress
    python tests/benchmarks/servers.py

The application reads the body and answers 202. Time is by throughput under wrk, medians of the
rounds. What each takes: requests in raw bytes, and what the server says to them, or for how
long it puts up with them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from forwarding import wrk

WORKERS = os.cpu_count() or 1
THREADS = 16


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("202 Accepted", [("Content-Length", "0")])
    return []


class _OnOurs:
    """`app` as our server wants it."""

    __call__ = staticmethod(app)

    def answer_later(self, environ: object, answer: object) -> bool:
        return False

    def start(self) -> None: ...

    def publish(self) -> None: ...

    def end_soon(self) -> None: ...

    def close(self, timeout: float) -> bool:
        return True


def serve_ours(port: int) -> None:
    from livedebug_sender.forwarder import Settings
    from livedebug_sender.forwarder.counters import Counters
    from livedebug_sender.forwarder.metrics import SLOTS
    from livedebug_sender.forwarder.server import Supervisor, stopped_by_signals

    settings = Settings.from_env({"DD_API_KEY": "k" * 32})
    counters = Counters(SLOTS, WORKERS)
    address = [f"127.0.0.1:{port}"]
    server = Supervisor(lambda *_: _OnOurs(), settings, address, WORKERS, counters)
    with stopped_by_signals(server):
        server.run(lambda: None)


def _python(*arguments: object) -> list[str]:
    return [sys.executable, *map(str, arguments)]


COMMANDS: dict[str, Callable[[int], list[str]]] = {
    "ours": lambda port: _python(__file__, "--serve", port),
    "granian": lambda port: _python(
        *("-m", "granian", "--interface", "wsgi", "--workers", WORKERS, "--port", port),
        *("--blocking-threads", THREADS, "--no-ws", "--log-level", "critical", "servers:app"),
    ),
    "gunicorn": lambda port: _python(
        *("-m", "gunicorn", "--workers", WORKERS, "--threads", THREADS, "--log-level", "critical"),
        *("--no-control-socket", "--bind", f"127.0.0.1:{port}", "servers:app"),
    ),
    "waitress": lambda port: _python(
        "-m", "waitress", f"--threads={THREADS}", f"--listen=127.0.0.1:{port}", "servers:app"
    ),
}


@contextmanager
def running(name: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = int(holder.getsockname()[1])
    process = subprocess.Popen(COMMANDS[name](port), cwd=Path(__file__).parent)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, f"{name} ended"
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
#: What a server is asked, and whether it is to hang up, or refuse, while the client goes on.
RAW: dict[str, bytes] = {
    "Content-Length and Transfer-Encoding": _HEAD + b"Content-Length: 5\r\n" + _CHUNKED,
    "two different lengths": _HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a folded header": _HEAD + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "lines ended by LF": b"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a length of 1 TB": _HEAD + b"Content-Length: 1000000000000\r\n\r\nx",
}
#: Begun, and then a byte each half second, for as long as the server lets it.
SLOW: dict[str, bytes] = {
    "a head drop by drop": b"POST / HTTP/1.1\r\nHost: x\r\nA: ",
    "a body drop by drop": _HEAD + b"Content-Length: 100000\r\n\r\n",
}


def says(port: int, request: bytes) -> str:
    """The statuses that come back; "waits" where nothing does."""
    tail = b"0\r\n\r\n" if request.endswith(_CHUNKED) else b""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(2.0)
        received = b""
        try:
            sock.sendall(request + tail)
            while data := sock.recv(65536):
                received += data
        except OSError:
            pass
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", received)
    return b", ".join(statuses).decode() or "waits"


def lasts(port: int, begun: bytes, seconds: float) -> str:
    """For how long a server puts up with a client that is never idle, and never done."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(0.5)
        begun_at = time.monotonic()
        try:
            sock.sendall(begun)
            while (took := time.monotonic() - begun_at) < seconds:
                sock.sendall(b"x")
                try:
                    sock.recv(1000)
                    break
                except TimeoutError:
                    continue
        except OSError:
            took = time.monotonic() - begun_at
    return f"{took:.0f} s" if took < seconds else f"more than {seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--patience", type=float, default=45.0, help="seconds for slow clients")
    options = parser.parse_args()
    if options.serve:
        serve_ours(options.serve)
        return
    names = [name for name in COMMANDS if name == "ours" or importlib.util.find_spec(name)]
    cells = [(size, clients) for size in (2, 200) for clients in (1, 8)]
    times: dict[tuple[str, int, int], list[float]] = {}
    for _ in range(options.rounds):
        for name in names:
            with running(name) as port:
                for size, clients in cells:
                    wrk(f"127.0.0.1:{port}", clients, size * 1024, 1)
                    took = wrk(f"127.0.0.1:{port}", clients, size * 1024, options.seconds)
                    times.setdefault((name, size, clients), []).append(took["wall"])
    print(f"{'time a request (median, min, max), us':44}" + "".join(f"{n:>22}" for n in names))
    for cell in cells:
        line = f"{cell[0]} KB, {cell[1]} client{'s' * (cell[1] > 1)}"
        shown = [[one * 1e6 for one in times[(name, *cell)]] for name in names]
        told = [f"{statistics.median(o):.0f} ({min(o):.0f}, {max(o):.0f})" for o in shown]
        print(f"{line:44}" + "".join(f"{one:>22}" for one in told))
    answers = {what: [""] * len(names) for what in (*RAW, *SLOW)}
    with ExitStack() as stack, ThreadPoolExecutor(len(names) * len(SLOW)) as at_once:
        ports = [stack.enter_context(running(name)) for name in names]
        for number, port in enumerate(ports):
            for what, request in RAW.items():
                answers[what][number] = says(port, request)
        for what, begun in SLOW.items():
            lasted = partial(lasts, begun=begun, seconds=options.patience)
            answers[what] = list(at_once.map(lasted, ports))
    for what, all_said in answers.items():
        print(f"{what:44}" + "".join(f"{said:>22}" for said in all_said))


if __name__ == "__main__":
    main()
