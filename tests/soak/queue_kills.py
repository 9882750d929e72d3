"""kill -9 in a loop: what had its 202 arrives, each time with the request id of the first.

``python tests/soak/queue_kills.py --kills 25 --seconds 3 [--queue disk:/folder]``: a
forwarder is killed so many times, after about so many seconds each, under 8 clients that
send 2 to 200 KB, while the intake is down half of the time. Ends with 1 if anything that was
confirmed is missing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from servers import free_port  # noqa: E402

KEY = "0123456789abcdef0123456789abcdef"
CREDENTIAL = "Bearer a-tracers-secret"
ROUTES = ("/debugger/v1/input", "/debugger/v1/diagnostics", "/debugger/v2/input", "/symdb/v1/input")
PREFIXES = ("DD_APM_DEBUGGER", "DD_APM_DEBUGGER_DIAGNOSTICS", "DD_APM_SYMDB")
CLIENTS = 8


class Intake:
    """Remembers who came, by the first 16 bytes of the body."""

    def __init__(self) -> None:
        self.down = threading.Event()
        #: By body: the request ids that it came with, and how often.
        self.ids: dict[bytes, set[str]] = defaultdict(set)
        self.deliveries = 0
        self.torn = 0
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                down = owner.down.is_set()
                if not down:
                    with owner.lock:
                        owner.deliveries += 1
                        owner.torn += len(body) != int(body[16:24])
                        owner.ids[body[:16]].add(self.headers["DD-REQUEST-ID"])
                self.send_response(503 if down else 202)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *args: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


class Clients:
    """Send until they are told to stop, and know what was confirmed."""

    def __init__(self, port: int, sizes: tuple[int, int]) -> None:
        self.confirmed: set[bytes] = set()
        self.refused = 0
        self.cut = 0
        self._port = port
        self._sizes = sizes
        self._stop = threading.Event()
        self._filler = random.Random(1).randbytes(sizes[1])
        self._threads = [threading.Thread(target=self._run, args=[n]) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        choices = random.Random(seed)
        connection = None
        headers = {"Content-Type": "application/json", "Authorization": CREDENTIAL}
        while not self._stop.is_set():
            name = choices.randbytes(16)
            size = choices.randint(*self._sizes)
            body = name + b"%08d" % size + self._filler[: size - 24]
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=20
                )
                connection.request("POST", choices.choice(ROUTES), body, headers)
                status = connection.getresponse()
                status.read()
            except (OSError, http.client.HTTPException):
                self.cut += 1
                if connection:
                    connection.close()
                connection = None
                self._stop.wait(0.02)
                continue
            if status.status == 202:
                self.confirmed.add(name)
            else:
                self.refused += 1
                self._stop.wait(0.05)


@contextmanager
def forwarder(queue: str, port: int, intake: str, *arguments: str) -> Iterator[subprocess.Popen]:
    variables = {"DD_API_KEY": KEY, "DD_HOSTNAME": "h", "PYTHONPATH": str(ROOT)}
    variables |= {f"{prefix}_DD_URL": f"{intake}/api/v2/debugger" for prefix in PREFIXES}
    code = "from livedebug_sender.forwarder.command import forward; forward()"
    command = [sys.executable, "-c", code, "--listen", f"127.0.0.1:{port}", "--queue", queue]
    process = subprocess.Popen(
        [*command, "--queue-min-free", "1", "--queue-bytes", str(4 << 30), *arguments],
        env={**os.environ, **variables},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def wait_for_health(port: int) -> None:
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--queue", help="default: disk: in a temporary folder")
    parser.add_argument("--max-size", type=int, default=200_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    queue = options.queue or f"disk:{folder / 'queue'}"
    intake = Intake()
    port = free_port()
    choices = random.Random(0)
    clients = Clients(port, (2_000, options.max_size))
    ended = threading.Event()

    def flip() -> None:  # down half of the time
        while not ended.wait(choices.uniform(0.5, 2.5)):
            intake.down.clear() if intake.down.is_set() else intake.down.set()
        intake.down.clear()

    flipping = threading.Thread(target=flip)
    flipping.start()
    for _ in range(options.kills):
        with forwarder(queue, port, intake.url):
            time.sleep(options.seconds * choices.uniform(0.5, 1.5))
    clients.stop()
    ended.set()
    flipping.join()
    on_disk = [p for p in folder.rglob("*") if p.is_file()]
    secrets = (KEY.encode(), CREDENTIAL.encode())
    leaks = sum(secret in path.read_bytes() for path in on_disk for secret in secrets)
    begun = time.monotonic()
    with forwarder(queue, port, intake.url) as last:
        while clients.confirmed - intake.ids.keys() and time.monotonic() - begun < 300:
            time.sleep(0.2)
        drained = time.monotonic() - begun
        wait_for_health(port)  # else it may not heed a signal yet
        last.send_signal(signal.SIGTERM)
        code = last.wait(30)
    lost = len(clients.confirmed - intake.ids.keys())
    several = sum(len(ids) > 1 for ids in intake.ids.values())
    print(
        json.dumps(
            {
                "kills": options.kills,
                "confirmed": len(clients.confirmed),
                "lost": lost,
                "torn": intake.torn,
                "bodies with more than one id": several,
                "delivered more than once": intake.deliveries - len(intake.ids),
                "refused": clients.refused,
                "cut": clients.cut,
                "secrets on the disk": leaks,
                "seconds to drain": round(drained, 1),
                "exit": code,
                "left": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            }
        )
    )
    shutil.rmtree(folder)
    return 1 if lost or several or leaks or intake.torn or code else 0


if __name__ == "__main__":
    sys.exit(main())
