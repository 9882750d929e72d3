"""What is measured: each function runs in a process of its own and tells its figures.

Started by `bench.Contender`; takes one JSON list ``[function, arguments]`` a line and
answers with one JSON object a line. All times in seconds, for one payload or request.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import socket
from typing import Any

from registry import FUNCTIONS, Figures, contender

#: How long a producer that was refused waits before it offers again.
NAP = 0.001


def payload(size: int) -> bytes:
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


def new_sender(url: str, **options: Any) -> Any:
    from livedebug_sender import Endpoint, Sender, SenderConfig

    config = SenderConfig()
    config.set_endpoint(Endpoint(url, timeout=30))
    config.set_symdb_endpoint(Endpoint(url, timeout=30))
    return Sender(config, **options)


def warm_sender(url: str) -> Any:
    """One that has loaded its modules and sent its first request."""
    sender = new_sender(url)
    for track in ("snapshots", "symdb"):
        sender.enqueue(track, b"{}", content_type="text/plain")
    assert sender.flush(30)
    return sender


def delivered(sender: Any) -> int:
    """Closes a sender; how many it delivered since it was warmed."""
    assert sender.close(300)
    return int(sender.stats().delivered) - 2


def new_native(kind: str, url: str) -> Any:
    from ddtrace.internal import native
    from ddtrace.internal.native_runtime import get_native_runtime

    return getattr(native, kind)(get_native_runtime(), url=url, timeout_ms=30000)


class Pipeline:
    """`SignalQueue`, one worker, the native sender: as the uploader of ddtrace works."""

    def __init__(self, url: str) -> None:
        from ddtrace.debugging._encoding import LogSignalJsonEncoder, SignalQueue
        from ddtrace.internal.native import DebuggerTrackType

        self._track = DebuggerTrackType.Snapshots
        self._sender = new_native("DebuggerSender", url)
        self._full = threading.Event()
        self._over = False
        self.queue = SignalQueue(LogSignalJsonEncoder("x"), on_full=lambda *_: self._full.set())
        self._worker = threading.Thread(target=self._work)
        self._worker.start()

    def put(self, encoded: bytes) -> bool:
        try:
            self.queue.put_encoded(None, encoded)
        except Exception:  # BufferFull
            return False
        return True

    def finish(self) -> None:
        self._over = True
        self._full.set()
        self._worker.join()

    def _work(self) -> None:
        while True:
            self._full.wait(0.1)
            self._full.clear()
            over = self._over
            flushed = self.queue.flush()
            if flushed is not None:
                assert self._sender.send(bytes(flushed[0]), self._track).accepted
            elif over:
                return


# -- one call ----------------------------------------------------------------------


@contender
def put_nowait(count: int, size: int, times: int) -> Figures:
    """A bare `queue.Queue`."""
    item = payload(size)
    return _calls(lambda: queue.Queue(5000).put_nowait, (item,), count, times)


@contender
def put_encoded(count: int, size: int, times: int) -> Figures:
    """Into one queue, flushed in between as its uploader does."""
    from ddtrace.debugging._encoding import LogSignalJsonEncoder, SignalQueue

    queue = SignalQueue(LogSignalJsonEncoder("x"))

    def flushed() -> Callable[..., Any]:
        flushed = queue.flush()
        assert flushed is None or bytes(flushed[0])
        return queue.put_encoded  # type: ignore[no-any-return]

    return _calls(flushed, (None, payload(size)), count, times)


@contender
def put_in_new(count: int, size: int, times: int) -> Figures:
    """Each time into a new queue, which finds the memory of the one before it."""
    from ddtrace.debugging._encoding import LogSignalJsonEncoder, SignalQueue

    encoder = LogSignalJsonEncoder("x")
    return _calls(lambda: SignalQueue(encoder).put_encoded, (None, payload(size)), count, times)


@contender
def enqueue(url: str, count: int, size: int, times: int) -> Figures:
    """Into a sender with a worker that lingers or sends; flushed in between."""
    item = payload(size)
    with new_sender(url) as sender:
        figures = _calls(
            lambda: sender.flush(30) and sender.enqueue, ("snapshots", item), count, times
        )
        assert sender.flush(30)
        assert sender.stats().delivered == count * times
    return figures


#: A snapshot that is not encoded yet, some 1 KB.
MAPPING = {
    "service": "shop",
    "debugger": {
        "snapshot": {
            "id": "0b1a6f6e-9a3e-4e7d-8d0c-2f2f5b3f8f10",
            "timestamp": 1_790_000_000_000,
            "captures": {
                "lines": {
                    "42": {
                        "locals": {
                            f"local_{n}": {"type": "str", "value": "x" * 20} for n in range(16)
                        }
                    }
                }
            },
        }
    },
}


@contender
def enqueue_mapping(url: str, count: int, times: int) -> Figures:
    """What `enqueue` encodes itself."""
    with new_sender(url) as sender:
        return _calls(
            lambda: sender.flush(30) and sender.enqueue, ("snapshots", MAPPING), count, times
        )


@contender
def encode_mapping(count: int, times: int) -> Figures:
    """The encoding of that alone."""
    encoder = json.JSONEncoder(separators=(",", ":"))
    return _calls(lambda: encoder.encode, (MAPPING,), count, times)


def _calls(fresh: Callable[[], Any], arguments: Any, count: int, times: int) -> Figures:
    spent = []
    for _ in range(times):
        call = fresh()
        start = time.perf_counter()
        for _ in range(count):
            call(*arguments)
        spent.append((time.perf_counter() - start) / count)
    return {"wall": sorted(spent)[times // 2]}


@contender
def enqueue_growing() -> Figures:
    """Is it slower where much waits? No intake answers."""
    item = payload(1024)
    with hanging_intake() as url:
        sender = new_sender(url, max_queue_items=50_000, max_queue_bytes=1 << 30)
        spent = []
        for _ in range(20_000):
            start = time.perf_counter()
            sender.enqueue("snapshots", item)
            spent.append(time.perf_counter() - start)
        sender.close(0)
    return {"ratio": sorted(spent[-2000:])[1000] / sorted(spent[:2000])[1000]}


@contextmanager
def hanging_intake() -> Iterator[str]:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contender
def put_from_threads(threads: int, count: int, size: int) -> Figures:
    """A bare `queue.Queue`, and a consumer that keeps up."""
    waiting: queue.Queue[bytes | None] = queue.Queue()
    consumer = threading.Thread(target=lambda: [None for _ in iter(waiting.get, None)])
    consumer.start()
    figures = _from_threads(waiting.put_nowait, (payload(size),), threads, count)
    waiting.put(None)
    consumer.join()
    return figures


@contender
def enqueue_from_threads(url: str, threads: int, count: int, size: int) -> Figures:
    """Into a sender that is busy."""
    with new_sender(url, max_queue_items=threads * count * 2, max_queue_bytes=1 << 30) as sender:
        figures = _from_threads(sender.enqueue, ("snapshots", payload(size)), threads, count)
        assert sender.flush(60)
        assert sender.stats().delivered == threads * count
    return figures


def _from_threads(call: Any, arguments: Any, threads: int, count: int) -> Figures:
    spent: list[float] = []

    def run() -> None:
        mine = []
        for _ in range(count):
            start = time.perf_counter()
            call(*arguments)
            mine.append(time.perf_counter() - start)
        spent.extend(mine)

    runners = [threading.Thread(target=run) for _ in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    spent.sort()
    return {
        "p50": spent[len(spent) // 2],
        "p999": spent[len(spent) * 999 // 1000],
        "mean": sum(spent) / len(spent),
    }


# -- the whole way -----------------------------------------------------------------


@contender
def ours_whole_way(url: str, count: int, size: int) -> Figures:
    sender = warm_sender(url)
    item = payload(size)
    cpu, wall = time.process_time(), time.perf_counter()
    offer = sender.enqueue
    for _ in range(count):
        while not offer("snapshots", item):
            time.sleep(NAP)
    assert sender.flush(300)
    figures = _spent(cpu, wall, count)
    assert delivered(sender) == count
    return figures


@contender
def native_whole_way(url: str, count: int, size: int) -> Figures:
    pipeline = Pipeline(url)
    item = payload(size)
    cpu, wall = time.process_time(), time.perf_counter()
    offer = pipeline.put
    for _ in range(count):
        while not offer(item):
            time.sleep(NAP)
    pipeline.finish()
    return _spent(cpu, wall, count)


def _spent(cpu: float, wall: float, count: int) -> Figures:
    return {
        "cpu": (time.process_time() - cpu) / count,
        "wall": (time.perf_counter() - wall) / count,
    }


# -- one request -------------------------------------------------------------------


@contender
def ours_request(url: str, count: int, size: int) -> Figures:
    """SymDB bodies, each a request, through the whole sender."""
    sender = warm_sender(url)
    body = payload(size)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        sender.enqueue("symdb", body, content_type="text/plain")
    assert sender.flush(300)
    figures = _spent(cpu, wall, count)
    assert delivered(sender) == count
    return figures


@contender
def native_request(url: str, count: int, size: int) -> Figures:
    native = new_native("SymDBSender", url)
    body = payload(size)
    return _requests(lambda: native.send(body, "text/plain"), count)


@contender
def session_post(url: str, count: int, size: int) -> Figures:
    import requests

    body = payload(size)
    headers = {"Content-Type": "text/plain"}
    with requests.Session() as session:
        return _requests(lambda: session.post(url, body, headers=headers), count)


def _requests(post: Callable[[], Any], count: int) -> Figures:
    post()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        post()
    return _spent(cpu, wall, count)


# -- the host ----------------------------------------------------------------------


def work(loops: int) -> int:
    """What a host does for a request: plain Python, about 150 microseconds."""
    total = 0
    for number in range(loops):
        total += number % 7
    return total


@contender
def calibrate(seconds: float) -> Figures:
    """How many loops of `work` take so long."""
    loops, spent = 1000, 0.0
    while spent < 0.2:
        loops *= 2
        start = time.thread_time()
        work(loops)
        spent = time.thread_time() - start
    return {"loops": loops * seconds / spent}


@contender
def host_alone(threads: int, count: int, loops: int) -> Figures:
    return _host(lambda: True, threads, count, loops, lambda: None)


@contender
def host_with_ours(url: str, threads: int, count: int, loops: int, size: int) -> Figures:
    sender = warm_sender(url)
    item = payload(size)
    figures = _host(
        lambda: sender.enqueue("snapshots", item), threads, count, loops, lambda: sender.flush(30)
    )
    assert delivered(sender) == threads * count
    return figures


@contender
def host_with_native(url: str, threads: int, count: int, loops: int, size: int) -> Figures:
    pipeline = Pipeline(url)
    item = payload(size)
    return _host(lambda: pipeline.put(item), threads, count, loops, pipeline.finish)


def _host(
    put: Callable[[], bool], threads: int, count: int, loops: int, finish: Callable[[], Any]
) -> Figures:
    refused = []

    def run() -> None:
        for _ in range(count):
            work(loops)
            while not put():
                refused.append(1)
                time.sleep(NAP)

    runners = [threading.Thread(target=run) for _ in range(threads)]
    cpu, wall = time.process_time(), time.perf_counter()
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    finish()
    return {**_spent(cpu, wall, threads * count), "refused": len(refused) / threads / count}


# -- the host under a web server ---------------------------------------------------


@contender
def web_alone(loops: int) -> Figures:
    return _web(lambda: True, loops, lambda: None)


@contender
def web_with_ours(url: str, loops: int, size: int) -> Figures:
    sender = warm_sender(url)
    item = payload(size)
    return _web(lambda: sender.enqueue("snapshots", item), loops, sender.close)


@contender
def web_with_native(url: str, loops: int, size: int) -> Figures:
    pipeline = Pipeline(url)
    item = payload(size)
    return _web(lambda: pipeline.put(item), loops, pipeline.finish)


def _web(put: Callable[[], bool], loops: int, finish: Callable[[], Any]) -> Figures:
    """`wrk` against an application under waitress, 4 threads, for 3 seconds."""
    from waitress.server import create_server

    def application(environ: Any, start_response: Any) -> list[bytes]:
        work(loops)
        put()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    server: Any = create_server(application, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=_run_until_closed, args=(server,), daemon=True).start()
    command = ["wrk", "-t1", "-c4", "-d3s", "--latency"]
    address = f"http://127.0.0.1:{server.effective_port}/"
    told = subprocess.run([*command, address], capture_output=True, text=True, check=True).stdout
    server.close()
    finish()
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)\b.*Requests/sec:\s+([\d.]+)", told, re.DOTALL)
    assert found, told
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]
    return {"p99": float(found[1]) * unit, "wall": 1 / float(found[3])}


def _run_until_closed(server: Any) -> None:
    with suppress(OSError):  # closed under its feet
        server.run()


# -- memory and idleness -----------------------------------------------------------


@contender
def memory_full(size: int) -> Figures:
    """Held at a full queue over the payloads' own bytes; the intake never answers."""
    with hanging_intake() as url:
        sender = new_sender(url, max_queue_items=1_000_000)
        sender.enqueue("snapshots", payload(size))
        assert not sender.flush(0.5)  # what it loads doesn't count
        before = _resident()
        while sender.enqueue("snapshots", _payload_of_its_own(size)):
            pass
        figures = {"ratio": (_resident() - before) / sender.stats().pending_bytes}
        sender.close(0)
    return figures


@contender
def memory_sending(url: str, size: int, count: int) -> Figures:
    """The peak while a batch is sent over the batch's own bytes."""
    sender = new_sender(url)
    items = [_payload_of_its_own(size) for _ in range(count)]
    sender.enqueue("snapshots", items[0])
    assert sender.flush(30)
    _reset_peak()
    before = _resident()
    for item in items:
        assert sender.enqueue("snapshots", item)
    assert sender.flush(30)
    own = sum(map(len, items))
    sender.close()
    return {"ratio": (own + max(0, _peak() - before)) / own}


@contender
def idle(url: str, seconds: float) -> Figures:
    """How often all threads but this one ran while nothing was to do."""
    sender = new_sender(url)
    before = float(threading.active_count() - 1)
    for track in ("snapshots", "logs", "diagnostics"):
        sender.enqueue(track, b"{}")
    assert sender.flush(30)
    time.sleep(1)
    start = _switches()
    time.sleep(seconds)
    # Not of the sums: a thread that ends meanwhile takes its count along.
    woken = sum(count - start.get(thread, 0) for thread, count in _switches().items())
    sender.close()
    return {"wakeups": float(woken), "before": before}


def _payload_of_its_own(size: int) -> bytes:
    return b'{"a":"%s"}' % os.urandom(size // 2 - 4).hex().encode()


def _switches() -> dict[int, int]:
    """Context switches so far of each of this process's other threads."""
    counts = {}
    for thread in map(int, os.listdir("/proc/self/task")):
        if thread != threading.get_native_id():
            with suppress(OSError), open(f"/proc/self/task/{thread}/status") as status:
                found = [int(line.split()[1]) for line in status if "ctxt_switches" in line]
                counts[thread] = sum(found)
    return counts


def _status(name: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


# -- start -------------------------------------------------------------------------


@contender
def import_cost(times: int) -> Figures:
    """CPU of an interpreter that imports the library, less that of one that doesn't."""
    programs = "import livedebug_sender", "import requests"
    rounds = [[_python(one) - _python("pass") for one in programs] for _ in range(times)]
    ours, requests = (statistics.median(costs) for costs in zip(*rounds, strict=True))
    return {
        "ms": ours * 1000,
        "ratio": statistics.median(one / other for one, other in rounds),
        "cpu": ours,
        "requests": requests,
    }


@contender
def modules_loaded() -> Figures:
    heavy = "requests", "urllib3", "tenacity", "ssl", "concurrent.futures"
    code = f"import livedebug_sender, sys; sys.exit(sum(m in sys.modules for m in {heavy}))"
    return {"modules": float(subprocess.run([sys.executable, "-c", code]).returncode)}


def _python(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    import forwarding  # noqa: F401 - for what it registers

    logging.disable()  # a producer that goes as fast as it can is refused now and then
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(FUNCTIONS[name](**arguments)), flush=True)
