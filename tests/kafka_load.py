"""Forwarders in processes of their own, clients that send to them, and what became of it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from running_forwarder import ROUTES, environ
from servers import Arrived, RecordingServer, free_port
from waiting import until

ROOT = Path(__file__).parents[1]


class ForwarderProcess:
    """``livedebug-sender forward`` with its queue in Kafka; can be killed and started again.

    Args:
        host: where it listens.
        within: a command that runs it, such as ``ip netns exec NAME``.
    """

    def __init__(
        self,
        intake: str,
        queue: str,
        log: Path,
        *options: str,
        host: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        self.host, self.port = host, free_port()
        self.log = log
        self._command = [*within, sys.executable, "-m", "livedebug_sender", "forward"]
        self._command += ["--listen", f"{host}:{self.port}", "--queue", queue]
        self._command += ["--kafka-min-replicas", "1", "--timeout", "5", *options]
        self._env = {**os.environ, **environ(intake), "PYTHONPATH": str(ROOT)}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._env,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        assert until(self._answers, 60), self.log.read_text()[-2000:]

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/health", b"", 2.0) == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes, timeout: float = 60.0) -> int:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def kill(self) -> None:
        """``kill -9``, of its workers too."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def peak_memory(self) -> int:
        """Bytes of memory that the largest of its processes had at most, as Linux tells."""
        assert self.process is not None
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                if os.getpgid(int(status.parent.name)) == self.process.pid:
                    lines = status.read_text().splitlines()
                    found += [int(one.split()[1]) for one in lines if one.startswith("VmHWM:")]
        return max(found) * 1024


class Clients:
    """Threads that send requests, each with a number of its own, from `start` to `stop`.

    Attributes:
        confirmed: the numbers of those that had a 202, and when.
        answers: by status; 0 where no answer came.
        slowest: seconds of the slowest answer.
    """

    def __init__(
        self,
        forwarders: Sequence[ForwarderProcess],
        count: int = 8,
        sizes: Sequence[int] = (2_000, 20_000, 60_000),
        pause: float = 0.005,
    ) -> None:
        self._forwarders = forwarders
        self._sizes = sizes
        self._pause = pause
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self.confirmed: dict[int, float] = {}
        self.answers: Counter[int] = Counter()
        self.slowest = 0.0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(90)

    def wait_for(self, more: int, patience: float = 90.0) -> None:
        """Until so many more have had their 202."""
        wanted = len(self.confirmed) + more
        assert until(lambda: len(self.confirmed) >= wanted, patience), self.answers

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            number = next(self._numbers)
            body = b"%d:" % number + random.randbytes(random.choice(self._sizes))
            begun = time.monotonic()
            try:
                forwarder = random.choice(self._forwarders)
                status = forwarder.ask("POST", random.choice(ROUTES), body)
            except OSError:
                status = 0
            now = time.monotonic()
            self.slowest = max(self.slowest, now - begun)
            self.answers[status] += 1
            if status == 202:
                self.confirmed[number] = now


class Intake(RecordingServer):
    """Counts what arrives by number, and keeps no bodies."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(self._take, host=host)
        self.down = False
        self.arrived: Counter[int] = Counter()
        self.ids: dict[int, set[str]] = {}
        self.sizes: dict[int, int] = {}

    def _take(self, arrived: Arrived) -> int:
        self.requests.clear()
        if self.down:
            return 503
        number = int(arrived.body.partition(b":")[0])
        self.arrived[number] += 1
        self.sizes[number] = len(arrived.body)
        self.ids.setdefault(number, set()).add(arrived.headers["dd-request-id"])
        return 202

    def missing(self, clients: Clients) -> set[int]:
        return clients.confirmed.keys() - self.arrived.keys()

    def check(self, clients: Clients, patience: float = 120.0) -> dict[str, object]:
        """Nothing that was confirmed is lost, and each kept its id; figures for people."""
        assert until(lambda: not self.missing(clients), patience), (
            f"{len(self.missing(clients))} of {len(clients.confirmed)} lost"
        )
        assert all(len(ids) == 1 for ids in self.ids.values())
        return {
            "confirmed": len(clients.confirmed),
            "lost": 0,
            "delivered more than once": sum(count > 1 for count in self.arrived.values()),
            "answers": dict(clients.answers),
            "slowest answer": round(clients.slowest, 1),
        }


@contextlib.contextmanager
def forwarder_processes(
    count: int, intake: str, queue: str, folder: Path, *options: str
) -> Iterator[list[ForwarderProcess]]:
    processes = [
        ForwarderProcess(intake, queue, folder / f"forwarder-{n}.log", *options)
        for n in range(count)
    ]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            if process.process is not None:
                process.kill()
